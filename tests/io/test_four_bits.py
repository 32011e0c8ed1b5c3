"""Labels of four bits: every box is what was packed, in less memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import GeometryError
from voxloom.geometry import Box, Space
from voxloom.io import FourBitVolume, to_four_bits
from voxloom.testing import check_reader

TYPES = ["u1", "i1", "<i2", "<u2", "<i4", "<i8"]


def volume_of(voxels: np.ndarray) -> FourBitVolume:
    memory = voxels.copy()
    assert to_four_bits(memory)
    w, h, d = voxels.shape[1:]
    space = Space((w, h, d), np.diag([1.0, 2.0, 3.0, 1.0]))
    return FourBitVolume(memory.reshape(-1).view(np.uint8), voxels.dtype, space)


def some_labels(shape: tuple[int, int, int], dtype: str, largest: int = 15) -> np.ndarray:
    return np.random.default_rng(0).integers(0, largest + 1, (1, *shape)).astype(dtype)


@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(1, 5)),
    dtype=st.sampled_from(TYPES),
    data=st.data(),
)
def test_every_box_is_what_was_packed(
    shape: tuple[int, int, int], dtype: str, data: st.DataObject
) -> None:
    voxels = some_labels(shape, dtype)
    source = volume_of(voxels)
    first = tuple(data.draw(st.integers(0, n - 1)) for n in shape)
    last = tuple(data.draw(st.integers(i + 1, n)) for i, n in zip(first, shape, strict=True))
    box = Box(first, last)
    found = source.read(box)
    assert found.dtype == voxels.dtype
    np.testing.assert_array_equal(found, voxels[(slice(None), *box.slices)])
    out = np.zeros((1, *box.size), np.float32, order="F")
    source.read_into(box, out)
    np.testing.assert_array_equal(out, found)


@pytest.mark.parametrize("dtype", TYPES)
def test_what_is_left_of_the_memory_is_zeros(dtype: str) -> None:
    voxels = some_labels((7, 4, 6), dtype)
    assert to_four_bits(voxels)
    memory = voxels.reshape(-1).view(np.uint8)
    assert not memory[4 * 4 * 6 :].any()


@pytest.mark.parametrize(
    "voxels",
    [
        np.full((1, 3, 2, 2), 16, np.uint8),
        np.full((1, 3, 2, 2), -1, np.int16),
        np.full((2, 3, 2, 2), 1, np.uint8),
        np.full((1, 3, 2, 2), 1, np.float32),
    ],
)
def test_others_stay_as_they_are(voxels: np.ndarray) -> None:
    before = voxels.copy()
    assert not to_four_bits(voxels)
    np.testing.assert_array_equal(voxels, before)


def test_it_reads_as_any_source() -> None:
    check_reader(volume_of(some_labels((9, 8, 7), "u1")))


def test_a_box_outside_is_refused() -> None:
    with pytest.raises(GeometryError, match="does not lie inside"):
        volume_of(some_labels((4, 4, 4), "u1")).read(Box((0, 0, 0), (5, 4, 4)))
