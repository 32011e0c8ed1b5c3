"""Grids cover every voxel, end where the volume ends, and are in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import PatchSizeError, PatchTooLargeError
from voxloom.patches._grid import Grid, grid_locations, parse_patch_overlap


@st.composite
def axes(draw, longest=12):
    patch = draw(st.integers(1, 6))
    overlap = 2 * draw(st.integers(0, (patch - 1) // 2))
    return draw(st.integers(patch, longest)), patch, overlap


@given(st.tuples(axes(), axes(), axes()))
def test_every_voxel_lies_in_a_patch(three):
    shape, size, overlap = zip(*three, strict=True)
    covered = np.zeros(shape, dtype=bool)
    for i, j, k, x, y, z in grid_locations(shape, size, overlap).tolist():
        covered[i:x, j:y, k:z] = True
    assert covered.all()


@given(st.tuples(axes(), axes(), axes()))
def test_locations_are_sorted_distinct_and_inside(three):
    shape, size, overlap = zip(*three, strict=True)
    locations = grid_locations(shape, size, overlap)
    rows = [tuple(row) for row in locations.tolist()]
    assert rows == sorted(set(rows))
    assert locations.dtype == np.int64
    assert (locations[:, :3] >= 0).all()
    assert (locations[:, 3:] <= shape).all()
    assert (locations[:, 3:] - locations[:, :3] == size).all()


@given(axes())
def test_neighbours_share_the_overlap_or_more(axis):
    length, patch, overlap = axis
    positions = Grid.over((length, 1, 1), (patch, 1, 1), (overlap, 0, 0)).positions(0)
    steps = np.diff(positions)
    assert (steps[:-1] == patch - overlap).all()
    assert (steps <= patch - overlap).all()
    assert positions[-1] == length - patch


def test_the_last_patch_is_aligned_to_the_end():
    assert grid_locations((10, 5, 5), 5, (2, 0, 0))[:, 0].tolist() == [0, 3, 5]
    assert grid_locations((10, 5, 5), 5)[:, 0].tolist() == [0, 5]


@given(st.tuples(axes(), axes(), axes()), st.booleans())
def test_a_place_is_found_by_its_location(three, padded):
    shape, size, overlap = zip(*three, strict=True)
    grid = Grid.over(shape, size, overlap, padded=padded)
    for number, row in enumerate(grid.locations.tolist()):
        assert grid.location(number) == tuple(row)
        assert grid.find(row) == np.unravel_index(number, grid.counts)


@pytest.mark.parametrize(
    "location", [(1, 0, 0, 5, 4, 4), (0, 0, 0, 5, 4, 4), (8, 0, 0, 12, 4, 4), (-4, 0, 0, 0, 4, 4)]
)
def test_what_is_no_place_is_not_found(location):
    assert Grid.over((8, 8, 8), 4).find(location) is None


def test_padding_is_half_the_overlap_on_each_side():
    grid = Grid.over((10, 10, 10), 6, (4, 2, 0), padded=True)
    assert grid.border == (2, 1, 0)
    assert grid.padded_shape == (14, 12, 10)


def test_a_padded_volume_smaller_than_the_patch_grows_to_its_size():
    grid = Grid.over((5, 20, 4), 8, 2, padded=True)
    assert grid.padded_shape == (8, 22, 8)
    assert grid.border == (1, 1, 2)


def test_a_patch_larger_than_the_volume_raises_with_both_sizes_and_both_remedies():
    with pytest.raises(PatchTooLargeError, match=r"\(9, 9, 9\).*\(8, 8, 8\).*padding_mode"):
        grid_locations((8, 8, 8), 9)
    with pytest.raises(ValueError, match="does not fit"):
        grid_locations((8, 8, 8), 9)


@pytest.mark.parametrize("overlap", [8, (0, 0, 10)])
def test_an_overlap_as_large_as_the_patch_raises(overlap):
    with pytest.raises(PatchSizeError, match="smaller than the patch"):
        parse_patch_overlap(overlap, (8, 8, 8))


@pytest.mark.parametrize("overlap", [3, (0, 1, 0), -2, 2.0, True, (2, 2), "2", None])
def test_an_overlap_that_is_not_even_whole_numbers_raises(overlap):
    with pytest.raises(ValueError, match="even number of voxels"):
        parse_patch_overlap(overlap, (8, 8, 8))
