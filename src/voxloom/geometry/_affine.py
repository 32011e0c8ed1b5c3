"""Affines: 4x4 float64 matrices from voxel indices to world coordinates, RAS+, in mm."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxloom._errors import GeometryError
from voxloom.geometry._box import Shape3

Affine = npt.NDArray[np.float64]

_NAMES = (("L", "R"), ("P", "A"), ("I", "S"))


def as_affine(matrix: npt.ArrayLike | None) -> Affine:
    """Return `matrix` as read-only 4x4 float64; None is the identity.

    What this returned before comes back as it is, unchecked: checks cost more than a small crop.

    Raises
    ------
    GeometryError
        If it is not a finite, invertible 4x4 matrix with (0, 0, 0, 1) as its last row.

    Examples
    --------
    >>> float(as_affine(None)[0, 0])
    1.0
    """
    if isinstance(matrix, np.ndarray) and is_checked(matrix):
        return matrix
    if matrix is None:
        matrix = np.eye(4)
    affine = np.array(matrix, dtype=np.float64)
    if affine.shape != (4, 4):
        raise GeometryError(f"an affine is a 4x4 matrix, got one of shape {affine.shape}")
    if not np.isfinite(affine).all():
        raise GeometryError(f"an affine has finite entries, got\n{affine}")
    if not np.allclose(affine[3], (0, 0, 0, 1)):
        raise GeometryError(f"the last row of an affine is (0, 0, 0, 1), got {affine[3]}")
    if abs(np.linalg.det(affine[:3, :3])) < np.finfo(np.float64).tiny:
        raise GeometryError(f"an affine maps voxels to a volume, this one is singular:\n{affine}")
    affine.setflags(write=False)
    return affine


def is_checked(matrix: npt.NDArray[np.generic]) -> bool:
    """Tell whether `as_affine` made this: only then is it 4x4, float64 and read-only."""
    return matrix.shape == (4, 4) and matrix.dtype == np.float64 and not matrix.flags.writeable


def spacing_of(affine: Affine) -> tuple[float, float, float]:
    """Return the distance in mm between neighbouring voxels along each axis.

    Examples
    --------
    >>> spacing_of(np.diag([2.0, 2.0, 3.0, 1.0]))
    (2.0, 2.0, 3.0)
    """
    i, j, k = (float(n) for n in np.linalg.norm(affine[:3, :3], axis=0))
    return i, j, k


def orientation_of(affine: Affine) -> tuple[str, str, str]:
    """Return where each voxel axis points: R or L, A or P, S or I.

    Each world axis is used once: the strongest match first, as nibabel does.

    Examples
    --------
    >>> orientation_of(np.diag([-1.0, 1.0, 1.0, 1.0]))
    ('L', 'A', 'S')
    """
    left = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    u, _, v = np.linalg.svd(left)
    rotation = u @ v
    names = ["", "", ""]
    free = np.abs(rotation).copy()
    for _ in range(3):
        world, voxel = np.unravel_index(int(free.argmax()), (3, 3))
        names[int(voxel)] = _NAMES[int(world)][int(rotation[world, voxel] > 0)]
        free[world, :] = free[:, voxel] = -1
    i, j, k = names
    return i, j, k


def corners(shape: Shape3) -> npt.NDArray[np.float64]:
    """Return the voxel indices of the eight corner voxels, ``(8, 3)``.

    Examples
    --------
    >>> corners((2, 3, 4)).max(axis=0).tolist()
    [1.0, 2.0, 3.0]
    """
    last = np.array(shape, dtype=np.float64) - 1
    return np.stack(np.meshgrid(*((0.0, n) for n in last), indexing="ij"), -1).reshape(8, 3)
