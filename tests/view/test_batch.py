import numpy as np
import pytest
from torch.utils.data import DataLoader

import voxloom as tio
from voxloom._errors import UnknownImageError
from voxloom.view import CORONAL, plot_batch

Batch = dict[str, object]


@pytest.fixture
def batch(subject: tio.Subject) -> Batch:
    sampler = tio.LabelSampler(4, "seg", {1: 1, 2: 1})
    queue = tio.Queue(tio.SubjectsDataset([subject] * 3), 6, 2, sampler, seed=0)
    return next(iter(DataLoader(queue, batch_size=6)))


def test_tiles_show_the_middle_slice_turned_to_ras(batch: Batch) -> None:
    figure = plot_batch(batch)
    voxels = np.asarray(batch["t1"]["data"])  # type: ignore[index]
    for tile, patch in zip(figure.axes, voxels, strict=False):
        assert (np.asarray(tile.images[0].get_array()) == patch[0, ::-1, :, 2].T).all()


def test_another_plane_can_be_shown(batch: Batch) -> None:
    tile = plot_batch(batch, plane=CORONAL).axes[0]
    patch = np.asarray(batch["t1"]["data"])[0, 0]  # type: ignore[index]
    assert (np.asarray(tile.images[0].get_array()) == patch[::-1, 2].T).all()


def test_each_tile_says_where_its_patch_begins(batch: Batch) -> None:
    titles = [axes.get_title() for axes in plot_batch(batch).axes if axes.get_title()]
    expected = [", ".join(map(str, place)) for place in batch["index_ini"].tolist()]  # type: ignore[attr-defined]
    assert titles == expected


def test_labels_lie_over_grey_values_unless_not_wanted(batch: Batch) -> None:
    assert len(plot_batch(batch).axes[0].images) == 2
    assert len(plot_batch(batch, labels="").axes[0].images) == 1


def test_a_batch_may_have_fewer_patches_than_columns_or_more_than_the_limit(batch: Batch) -> None:
    assert len(plot_batch(batch, columns=9).axes) == 6
    assert len(plot_batch(batch, limit=2).axes) == 2


def test_an_unknown_image_is_named_with_those_there_are(batch: Batch) -> None:
    with pytest.raises(UnknownImageError, match=r"no image 'x'; it has \['t1', 'seg'\]"):
        plot_batch(batch, labels="x")


def test_a_batch_without_images_is_refused() -> None:
    with pytest.raises(UnknownImageError, match=r"the batch has no image; it has \['age'\]"):
        plot_batch({"age": [1, 2]})
