"""Pictures show the patient's left on the left, whatever the order of the voxels."""

import itertools

import numpy as np
import pytest

from voxloom._errors import SubjectError
from voxloom.geometry import Space
from voxloom.view import AXIAL, CORONAL, SAGITTAL, Canonical
from voxloom.view._canonical import place_cut

ORDERS = list(itertools.permutations(range(3)))
SIGNS = list(itertools.product((1, -1), repeat=3))


def oriented(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """Return an affine whose i-th voxel axis runs along world axis ``order[i]``."""
    affine = np.zeros((4, 4))
    for voxel, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, voxel] = sign * (world + 1)
    affine[3, 3] = 1
    return affine


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_turning_puts_the_largest_world_coordinates_last(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    space = Space((4, 5, 6), oriented(order, signs))
    canonical = Canonical.of(space)
    indices = np.stack(np.indices(space.spatial_shape), axis=-1)
    world = indices @ space.affine[:3, :3].T
    for axis in range(3):
        turned = canonical.turn(world[..., axis])
        assert turned.shape == canonical.spatial_shape
        assert (np.diff(turned, axis=axis) > 0).all()
        np.testing.assert_allclose(np.diff(turned, axis=axis), canonical.spacing[axis])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_points_turn_with_the_volume(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    canonical = Canonical.of(Space((4, 5, 6), oriented(order, signs)))
    voxels = np.zeros((4, 5, 6))
    voxels[1, 3, 2] = 1
    [point] = canonical.turn_points(np.array([[1, 3, 2]]))
    assert np.argwhere(canonical.turn(voxels)).tolist() == [point.tolist()]


def test_turning_copies_nothing() -> None:
    voxels = np.zeros((4, 5, 6))
    assert np.shares_memory(Canonical.of(Space((4, 5, 6), np.eye(4))).turn(voxels), voxels)


def test_an_oblique_volume_is_turned_to_the_nearest_axes() -> None:
    angle = np.deg2rad(30)
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    canonical = Canonical.of(Space((4, 5, 6), affine))
    assert (canonical.order, canonical.reversed) == ((0, 1, 2), (False, False, False))


def test_each_plane_shows_its_two_axes_across_and_up() -> None:
    canonical = Canonical.of(Space((4, 5, 6), np.eye(4)))
    voxels = np.arange(120).reshape(4, 5, 6)
    assert (canonical.cut(voxels, SAGITTAL, 2) == voxels[2].T).all()
    assert (canonical.cut(voxels, CORONAL, 3) == voxels[:, 3].T).all()
    assert (canonical.cut(voxels, AXIAL, 1) == voxels[:, :, 1].T).all()


def test_edges_are_named_for_what_lies_there() -> None:
    assert SAGITTAL.edges == ("P", "A", "I", "S")
    assert CORONAL.edges == ("L", "R", "I", "S")
    assert AXIAL.edges == ("L", "R", "P", "A")


def test_bounds_are_in_mm_and_reach_half_a_voxel_beyond_the_outer_centres() -> None:
    canonical = Canonical.of(Space((4, 5, 6), np.diag([2.0, 1.0, 3.0, 1.0])))
    assert canonical.bounds_mm(CORONAL) == (-1.0, 7.0, -1.5, 16.5)


def test_planes_meet_in_the_median_of_what_is_labelled() -> None:
    canonical = Canonical.of(Space((9, 9, 9), np.diag([-1.0, 1.0, 1.0, 1.0])))
    labels = np.zeros((9, 9, 9))
    labels[0:3, 5, 7] = 1
    assert place_cut(canonical, None, labels) == (7, 5, 7)
    assert place_cut(canonical, None, np.zeros((9, 9, 9))) == (4, 4, 4)
    assert place_cut(canonical, (0, 1, 2), labels) == (8, 1, 2)


def test_planes_cannot_meet_outside() -> None:
    canonical = Canonical.of(Space((9, 9, 9), np.eye(4)))
    with pytest.raises(SubjectError, match=r"at=\(9, 0, 0\) is outside the volume; choose"):
        place_cut(canonical, (9, 0, 0), None)
