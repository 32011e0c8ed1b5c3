import io

import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import UnknownImageError
from voxloom.view import plot_sampler, plot_subject


def test_slices_show_the_voxels_of_the_named_place_turned_to_ras(subject: tio.Subject) -> None:
    figure = plot_subject(subject, at=(1, 2, 3))
    sagittal, coronal, axial = (np.asarray(a.images[0].get_array()) for a in figure.axes)
    voxels = subject.t1.array[0]
    assert (sagittal == voxels[1].T).all()
    assert (coronal == voxels[::-1, 2].T).all()
    assert (axial == voxels[::-1, :, 3].T).all()


def test_every_panel_has_one_scale_in_mm(subject: tio.Subject) -> None:
    figure = plot_subject(subject)
    figure.savefig(io.BytesIO())  # positions are known once it is drawn
    scales = []
    for axes in figure.axes:
        left, right = axes.get_xlim()
        bottom, top = axes.get_ylim()
        box = axes.get_window_extent()
        scales += [box.width / (right - left), box.height / (top - bottom)]
    assert max(scales) < 1.02 * min(scales)


def test_labels_are_painted_where_they_are_and_named(subject: tio.Subject) -> None:
    figure = plot_subject(subject, at=(7, 4, 2), label_names={1: "core", 2: "rim"})
    axial = figure.axes[2].images[1].get_array()
    assert (np.asarray(axial)[..., 3] > 0).sum() == 3 * 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["core", "rim"]


def test_no_labels_are_shown_where_none_are_wanted(subject: tio.Subject) -> None:
    figure = plot_subject(subject, labels="")
    assert [len(axes.images) for axes in figure.axes] == [1, 1, 1]
    assert figure.legends == []


def test_an_unknown_image_is_named_with_those_there_are(subject: tio.Subject) -> None:
    with pytest.raises(UnknownImageError, match=r"has no image 't2'; it has \['t1', 'seg'\]"):
        plot_subject(subject, image="t2")


def test_a_constant_volume_and_one_with_holes_can_be_shown() -> None:
    voxels = np.full((1, 4, 4, 4), np.nan, dtype=np.float32)
    assert len(plot_subject(tio.Subject(t1=tio.ScalarImage(tensor=voxels))).axes) == 3
    voxels[:] = 7
    assert len(plot_subject(tio.Subject(t1=tio.ScalarImage(tensor=voxels))).axes) == 3


def test_a_long_thin_volume_has_a_picture_of_one_page() -> None:
    voxels = np.ones((1, 2, 2, 300), np.float32)
    thin = tio.Subject(t1=tio.ScalarImage(tensor=voxels, affine=np.diag([1, 1, 5, 1])))
    for figure in (plot_subject(thin), plot_sampler(tio.UniformSampler(2), thin)):
        width, height = figure.get_size_inches()
        assert (width, height < 27) == (10, True)
        figure.savefig(io.BytesIO())


def test_a_legend_of_many_labels_leaves_room_for_the_picture() -> None:
    voxels = np.arange(1000, dtype=np.int16).reshape(1, 10, 10, 10)
    subject = tio.Subject(t1=tio.ScalarImage(tensor=voxels), seg=tio.LabelMap(tensor=voxels))
    figure = plot_subject(subject)
    figure.savefig(io.BytesIO())  # would warn that there is no room
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    assert len(shown) == 18
    assert shown[-1] == f"and {999 - 17} more"
