from pathlib import Path

import numpy as np
import pytest

from voxloom.io import ArraySource, PreparedSource, write_reversed
from voxloom.patches._block_index import index_masses
from voxloom.patches._mass import ChannelVoxels, Foreground, LabelVoxels, Mass, Weights
from voxloom.patches._stored_index import load_index, save_index

LABELS = np.random.default_rng(0).integers(-1, 4, (1, 17, 20, 9)).astype(np.int16)


def stored(folder: Path, array: np.ndarray, kind: str) -> PreparedSource:
    path = write_reversed(folder / "map.nii", array, np.eye(4))
    save_index(folder / "map.npz", array, kind)
    return PreparedSource(path, index=folder / "map.npz")


def check_same(source: PreparedSource, array: np.ndarray, masses: list[Mass]) -> None:
    found = load_index(source, masses)
    assert found is not None
    for mine, theirs in zip(found, index_masses(array, masses), strict=True):
        np.testing.assert_array_equal(mine.sums, theirs.sums)
        assert (mine.sums.dtype, mine.mass) == (theirs.sums.dtype, theirs.mass)


def test_labels_are_indexed_as_if_read_now(tmp_path: Path) -> None:
    source = stored(tmp_path, LABELS, "label")
    check_same(source, LABELS, [Foreground(), *(LabelVoxels(n) for n in (-1, 0, 3, 99))])


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_labels_of_any_type_are_found(tmp_path: Path, dtype: str) -> None:
    array = np.abs(LABELS).astype(dtype)
    check_same(stored(tmp_path, array, "label"), array, [LabelVoxels(n) for n in range(4)])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["uint8", "int16"])
@pytest.mark.parametrize("shape", [(17, 20, 9), (1, 1, 1), (3, 1, 5), (8, 16, 24)])
def test_labels_are_found_wherever_they_are_and_however_they_lie(
    tmp_path: Path, order: str, dtype: str, shape: tuple[int, int, int]
) -> None:
    rng = np.random.default_rng(1)
    for place in [(0, 0, 0), tuple(n - 1 for n in shape), tuple(rng.integers(shape).tolist())]:
        array = np.zeros((1, *shape), dtype)
        array[(0, *place)] = 5
        array = array.copy(order="F") if order == "F" else array
        counts = save_index(tmp_path / "map.npz", array, "label")
        expected = {"foreground": 1, "label 5": 1}
        expected |= {} if array.size == 1 else {"label 0": array.size - 1}
        assert counts == expected


def test_channels_are_indexed(tmp_path: Path) -> None:
    array = np.concatenate([n == LABELS for n in range(3)]).astype(np.uint8)
    check_same(stored(tmp_path, array, "label"), array, [ChannelVoxels(n) for n in range(3)])


def test_weights_are_indexed(tmp_path: Path) -> None:
    array = np.random.default_rng(0).random((1, 17, 20, 9))
    check_same(stored(tmp_path, array, "sampling_map"), array, [Weights()])


def test_fractions_are_no_labels_and_only_their_foreground_is_kept(tmp_path: Path) -> None:
    source = stored(tmp_path, LABELS + 0.5, "label")
    check_same(source, LABELS + 0.5, [Foreground()])
    assert load_index(source, [LabelVoxels(1)]) is None


def test_how_many_voxels_each_label_has_is_told(tmp_path: Path) -> None:
    counts = save_index(tmp_path / "map.npz", LABELS, "label")
    assert counts is not None
    assert counts["label 2"] == np.count_nonzero(LABELS == 2)
    assert save_index(tmp_path / "none.npz", LABELS, "intensity") is None


def test_a_volume_without_an_index_has_none(tmp_path: Path) -> None:
    assert load_index(ArraySource(LABELS), [Foreground()]) is None
    path = write_reversed(tmp_path / "map.nii", LABELS, np.eye(4))
    assert load_index(PreparedSource(path), [Foreground()]) is None
