"""Spaces: cropping moves no voxel in the world, and distances are about every corner."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from voxloom._errors import GeometryError
from voxloom.geometry import Box, Space, corners

Matrix = np.ndarray[Any, Any]
INDEX = st.tuples(*[st.integers(-50, 50)] * 3)
SIZE = st.tuples(*[st.integers(1, 60)] * 3)


@st.composite
def spaces(draw: st.DrawFn) -> Space:
    affine = np.eye(4)
    affine[:3] = draw(arrays(np.float64, (3, 4), elements=st.floats(-100, 100)))
    assume(np.linalg.svd(affine[:3, :3], compute_uv=False)[-1] > 0.01)
    return Space(draw(SIZE), affine)


def world(space: Space, voxel: Matrix) -> Matrix:
    return (space.affine @ [*voxel, 1])[:3]


@given(spaces(), INDEX, SIZE, INDEX)
def test_the_world_position_of_a_voxel_is_unchanged_by_cropping(
    space: Space, ini: tuple[int, int, int], size: tuple[int, int, int], voxel: Any
) -> None:
    cropped = space.crop(Box.at(ini, size))
    inside = np.array(voxel) - ini
    assert np.allclose(world(cropped, inside), world(space, np.array(voxel)), atol=1e-8)
    assert cropped.spatial_shape == size


@given(spaces(), INDEX, INDEX, SIZE)
def test_cropping_twice_is_cropping_once(
    space: Space,
    first: tuple[int, int, int],
    second: tuple[int, int, int],
    size: tuple[int, int, int],
) -> None:
    twice = space.crop(Box.at(first, (60, 60, 60))).crop(Box.at(second, size))
    i, j, k = (a + b for a, b in zip(first, second, strict=True))
    once = space.crop(Box.at((i, j, k), size))
    assert np.allclose(twice.affine, once.affine, atol=1e-8)


@given(spaces(), st.tuples(*[st.floats(-5, 5)] * 3))
def test_a_shift_is_as_far_in_mm_as_it_is_long(space: Space, shift: Any) -> None:
    moved = space.affine.copy()
    moved[:3, 3] += shift
    other = Space(space.spatial_shape, moved)
    assert space.distance_mm(other) == pytest.approx(np.linalg.norm(shift), abs=1e-9)


@given(spaces(), st.tuples(*[st.floats(-5, 5)] * 3))
def test_a_shift_is_as_far_in_voxels_as_it_is_in_indices(space: Space, shift: Any) -> None:
    moved = space.affine.copy()
    moved[:3, 3] += space.affine[:3, :3] @ shift
    other = Space(space.spatial_shape, moved)
    assert space.distance_voxels(other) == pytest.approx(np.linalg.norm(shift), abs=1e-7)


@given(spaces(), spaces())
def test_no_corner_is_farther_than_the_distance_and_one_is_as_far(one: Space, two: Space) -> None:
    pairs = zip(corners(one.spatial_shape), corners(two.spatial_shape), strict=True)
    farthest = max(float(np.linalg.norm(world(one, a) - world(two, b))) for a, b in pairs)
    assert one.distance_mm(two) == pytest.approx(farthest, rel=1e-9)


def test_a_turn_is_seen_at_the_corner_that_it_moves_most() -> None:
    turned = np.eye(4)
    turned[0, 1] = 0.01
    space, other = Space((10, 101, 10), np.eye(4)), Space((10, 101, 10), turned)
    assert space.distance_voxels(other) == pytest.approx(1.0)


def test_a_space_is_not_changed_by_its_maker_nor_by_its_user() -> None:
    affine = np.diag([2.0, 2, 3, 1])
    space = Space((4, 5, 6), affine)
    affine[0, 0] = 99
    assert space.spacing == (2, 2, 3)
    assert space.orientation == ("R", "A", "S")
    with pytest.raises(ValueError, match="read-only"):
        space.affine[0, 0] = 99
    with pytest.raises(AttributeError, match="affine"):
        space.affine = affine  # type: ignore[misc]


def test_centre_and_bounds_of_a_turned_volume() -> None:
    # the first voxel axis runs down, the second right, the third forward
    affine = np.array([[0, 2.0, 0, 10], [0, 0, 3, 20], [-4, 0, 0, 30], [0, 0, 0, 1]])
    space = Space((5, 6, 7), affine)
    assert space.center == (10 + 2 * 2.5, 20 + 3 * 3, 30 - 4 * 2)
    assert space.bounds == ((9.0, 21.0), (18.5, 39.5), (12.0, 32.0))
    assert [space.axis_index(name) for name in ("superior", "L", "anterior")] == [-3, -2, -1]
    assert [space.axis_index(name) for name in ("inferior", "right", "P")] == [-3, -2, -1]


@pytest.mark.parametrize("name", ["top", "Bottom"])
def test_top_and_bottom_of_a_slice_lie_along_its_second_axis(name: str) -> None:
    assert Space((5, 6, 1), np.eye(4)).axis_index(name) == -2


@pytest.mark.parametrize("name", ["", "x", 1, None])
def test_an_axis_of_no_side_is_refused(name: Any) -> None:
    with pytest.raises(GeometryError, match=rf"top or bottom, .* got {name!r}"):
        Space((5, 6, 7), np.eye(4)).axis_index(name)
