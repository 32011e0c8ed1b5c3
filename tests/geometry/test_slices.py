"""Slicing a volume means what slicing an array means."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voxloom.geometry import Box, box_of_slices

SHAPE = (7, 8, 9)
ENDS = st.none() | st.integers(-12, 12)
SLICES = st.builds(slice, ENDS, ENDS)


@given(st.lists(SLICES, min_size=1, max_size=3))
def test_slices_cut_what_they_cut_of_an_array(slices: list[slice]) -> None:
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    expected = array[tuple(slices)]
    assume(expected.size)
    assert (array[box_of_slices(tuple(slices), SHAPE).slices] == expected).all()


@given(st.integers(-9, 8))
def test_an_integer_keeps_its_axis(place: int) -> None:
    box = box_of_slices((..., place), SHAPE)
    assert box == Box((0, 0, place % 9), (7, 8, place % 9 + 1))


@pytest.mark.parametrize(
    ("key", "box"),
    [
        (slice(0, 5), Box((0, 0, 0), (5, 8, 9))),
        (3, Box((3, 0, 0), (4, 8, 9))),
        (np.int64(3), Box((3, 0, 0), (4, 8, 9))),
        (..., Box((0, 0, 0), (7, 8, 9))),
        ((), Box((0, 0, 0), (7, 8, 9))),
        ((slice(None), slice(2, -3)), Box((0, 2, 0), (7, 5, 9))),
        ((1, ..., 2), Box((1, 0, 2), (2, 8, 3))),
        ((1, 2, 3, ...), Box((1, 2, 3), (2, 3, 4))),
    ],
)
def test_what_is_left_out_is_whole(key: Any, box: Box) -> None:
    assert box_of_slices(key, SHAPE) == box


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (slice(None, None, 2), r"steps of 1, got slice\(None, None, 2\) along axis 0"),
        (slice(5, 2), "leaves no voxel"),
        ((slice(None),) * 4, r"axes \(W, H, D\).*channels stay together"),
        ((..., 1, ...), r"axes \(W, H, D\)"),
        ((0, 1.5), "integers and slices, got 1.5 along axis 1"),
        ([1, 2], r"integers and slices, got \[1, 2\] along axis 0"),
    ],
)
def test_what_is_no_box_is_refused(key: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        box_of_slices(key, SHAPE)


@pytest.mark.parametrize("place", [7, -8])
def test_an_integer_outside_is_an_index_error(place: int) -> None:
    with pytest.raises(IndexError, match=f"axis 0 has 7 voxels, there is no voxel {place}"):
        box_of_slices(place, SHAPE)
