"""Affines against nibabel, and what is refused as one."""

from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxloom.geometry import as_affine, corners, orientation_of, spacing_of

Matrix = np.ndarray[Any, Any]

ANGLES = st.floats(-np.pi, np.pi)
SPACINGS = st.floats(0.01, 20)
SHEARS = st.floats(-0.4, 0.4)


def rotation(x: float, y: float, z: float) -> Matrix:
    (a, b, c), (d, e, f) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@st.composite
def affines(draw: st.DrawFn) -> Matrix:
    """Draw any rotation, flip, gantry tilt, spacing and origin."""
    axes = rotation(draw(ANGLES), draw(ANGLES), draw(ANGLES))
    shear = np.eye(3)
    shear[0, 1], shear[1, 2] = draw(SHEARS), draw(SHEARS)
    signs = draw(st.tuples(*[st.sampled_from([-1.0, 1.0])] * 3))
    affine = np.eye(4)
    affine[:3, :3] = axes @ shear * signs * draw(st.tuples(SPACINGS, SPACINGS, SPACINGS))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-1e3, 1e3)] * 3))
    return affine


@given(affines())
def test_orientation_is_what_nibabel_finds(affine: Matrix) -> None:
    assert orientation_of(affine) == nibabel.aff2axcodes(affine)


@given(affines())
def test_spacing_is_what_nibabel_finds(affine: Matrix) -> None:
    assert spacing_of(affine) == pytest.approx(nibabel.affines.voxel_sizes(affine), rel=1e-12)


@given(affines())
def test_an_affine_keeps_its_numbers_in_memory_of_its_own(affine: Matrix) -> None:
    kept = as_affine(affine)
    assert kept.dtype == np.float64
    assert (kept == affine).all()
    assert not np.shares_memory(kept, affine)
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 2


def test_what_is_an_affine_already_is_not_copied() -> None:
    affine = as_affine(np.diag([2, 3, 4, 1]))
    assert as_affine(affine) is affine


def test_a_read_only_view_is_copied_because_its_owner_may_change_it() -> None:
    owner = np.eye(4)
    view = owner.view()
    view.setflags(write=False)
    kept = as_affine(view)
    owner[0, 0] = 9
    assert kept[0, 0] == 1


def test_no_affine_is_the_identity() -> None:
    assert (as_affine(None) == np.eye(4)).all()


def test_lists_integers_and_single_precision_become_float64() -> None:
    rows = [[2, 0, 0, 1], [0, 2, 0, 1], [0, 0, 2, 1], [0, 0, 0, 1]]
    for given_ in (rows, np.array(rows), np.array(rows, dtype=np.float32)):
        assert as_affine(given_).dtype == np.float64
        assert as_affine(given_).tolist() == rows


def with_entry(row: int, column: int, value: float) -> Matrix:
    affine = np.eye(4)
    affine[row, column] = value
    return affine


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (np.eye(3), r"4x4 matrix, got one of shape \(3, 3\)"),
        (3, r"4x4 matrix, got one of shape \(\)"),
        ("RAS", "4x4 matrix of numbers, got 'RAS'"),
        ([[1, 2], [3]], "4x4 matrix of numbers"),
        (with_entry(0, 3, np.nan), "finite entries"),
        (with_entry(2, 2, np.inf), "finite entries"),
        (with_entry(3, 0, 1), r"last row of an affine is \(0, 0, 0, 1\), got"),
        (with_entry(1, 1, 0), "singular"),
        ([[1, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0], [0, 0, 0, 1]], "singular"),
        (np.diag([0, 0, 0, 1]), "singular"),
    ],
)
def test_what_is_no_affine_is_refused(matrix: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_affine(matrix)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_bad_affine_is_refused_whether_or_not_it_can_be_written(read_only: bool) -> None:
    affine = with_entry(0, 0, np.nan)
    affine.setflags(write=not read_only)
    with pytest.raises(ValueError, match="finite entries"):
        as_affine(affine)


@pytest.mark.parametrize("spacing", [1e-120, 1e-6, 1.0, 1e6])
def test_whether_an_affine_is_flat_does_not_depend_on_the_unit(spacing: float) -> None:
    assert spacing_of(as_affine(np.diag([spacing] * 3 + [1]))) == pytest.approx((spacing,) * 3)


def test_corners_are_the_eight_outermost_voxels() -> None:
    expected = {(i, j, k) for i in (0, 1) for j in (0, 2) for k in (0, 3)}
    assert {tuple(corner) for corner in corners((2, 3, 4)).tolist()} == expected


def test_a_tensor_will_do() -> None:
    affine = as_affine(torch.diag(torch.tensor([2.0, 3, 4, 1], requires_grad=True)))
    assert (affine.dtype, affine.diagonal().tolist()) == (np.float64, [2, 3, 4, 1])
