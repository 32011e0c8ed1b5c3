import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import UnknownImageError
from voxloom.view import CORONAL, plot_comparison


def test_all_panels_show_the_same_slice(subject: tio.Subject) -> None:
    figure = plot_comparison(subject, ["seg", "seg"], at=(0, 0, 2))
    grey, first, second = figure.axes
    assert (np.asarray(grey.images[0].get_array()) == subject.t1.array[0, ::-1, :, 2].T).all()
    for axes in (first, second):
        assert (np.asarray(axes.images[1].get_array())[..., 3] > 0).sum() == 12


def test_the_slice_goes_through_the_labels_by_default(subject: tio.Subject) -> None:
    grey = plot_comparison(subject, ["seg"], plane=CORONAL).axes[0]
    assert (np.asarray(grey.images[0].get_array()) == subject.t1.array[0, ::-1, 4].T).all()


def test_an_unknown_label_map_is_named(subject: tio.Subject) -> None:
    with pytest.raises(UnknownImageError, match="has no image 'guess'"):
        plot_comparison(subject, ["guess"])
