"""Affines: 4x4 float64 matrices from voxel indices to world coordinates, RAS+, in mm."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from voxloom._errors import GeometryError
from voxloom.geometry._box import Shape3

Affine = npt.NDArray[np.float64]

_NAMES = (("L", "R"), ("P", "A"), ("I", "S"))


def as_affine(matrix: npt.ArrayLike | None) -> Affine:
    """Return `matrix` as read-only 4x4 float64; None is the identity.

    What this returned before comes back as it is; anything else is copied.

    Raises
    ------
    GeometryError
        If it is not a finite, invertible 4x4 matrix with (0, 0, 0, 1) as its last row.

    Examples
    --------
    >>> float(as_affine(None)[0, 0])
    1.0
    """
    affine = _read_only(np.eye(4) if matrix is None else matrix)
    if affine.shape != (4, 4):
        raise GeometryError(f"an affine is a 4x4 matrix, got one of shape {affine.shape}")
    *axes, last = affine.tolist()  # plain floats: every crop comes here, and NumPy takes 40 us
    if not all(math.isfinite(number) for row in (*axes, last) for number in row):
        raise GeometryError(f"an affine has finite entries, got\n{affine}")
    if max(abs(a - b) for a, b in zip(last, (0, 0, 0, 1), strict=True)) > 1e-6:
        raise GeometryError(f"the last row of an affine is (0, 0, 0, 1), got {last}")
    if _is_flat(axes):
        raise GeometryError(f"an affine maps voxels to a volume, this one is singular:\n{affine}")
    return affine


def _read_only(matrix: npt.ArrayLike) -> Affine:
    if type(matrix) is np.ndarray and matrix.dtype == np.float64:
        frozen = not matrix.flags.writeable and matrix.base is None  # no one can change it
        if frozen:
            return matrix
    if hasattr(matrix, "detach"):  # a tensor, told without importing torch
        matrix = matrix.detach().cpu().numpy()
    try:
        affine = np.array(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise GeometryError(f"an affine is a 4x4 matrix of numbers, got {matrix!r}") from error
    affine.setflags(write=False)
    return affine


def _is_flat(rows: list[list[float]]) -> bool:
    lengths = [math.hypot(*column) for column in zip(*rows, strict=True)][:3]
    if not all(lengths):
        return True
    (a, b, c), (d, e, f), (g, h, i) = (
        [row[axis] / lengths[axis] for axis in range(3)] for row in rows
    )
    volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    return abs(volume) < 1e-9  # of a box with edges of one voxel, whatever their lengths


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

    Each world axis is used once: the voxel axis that matches one best chooses first, as in
    nibabel.

    Examples
    --------
    >>> orientation_of(np.diag([-1.0, 1.0, 1.0, 1.0]))
    ('L', 'A', 'S')
    """
    left = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    u, _, v = np.linalg.svd(left)
    rotation = u @ v
    names = ["", "", ""]
    free = np.abs(rotation)
    for voxel in np.argsort(-free.max(axis=0), kind="stable"):
        world = int(free[:, voxel].argmax())
        names[voxel] = _NAMES[world][int(rotation[world, voxel] > 0)]
        free[world, :] = -1
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
