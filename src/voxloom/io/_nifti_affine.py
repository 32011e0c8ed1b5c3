"""Which affine a NIfTI header means: its sform, else its qform, else its spacing.

The choice and the repair of odd values are those of nibabel's ``get_best_affine``, on which
the field's tools agree, with one addition: voxloom's unit is mm, so lengths that the header
gives in metres or microns are converted.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from voxloom._errors import GeometryError
from voxloom.io._nifti_fields import Fields

_MM_PER_UNIT: Final = {1: 1000.0, 3: 0.001}
_KNOWN_CODES: Final = range(1, 6)

Matrix = np.ndarray[Any, Any]


def best_affine(fields: Fields) -> Matrix:
    """Return the header's affine, voxel indices to world, RAS+, mm, unchecked.

    Raises
    ------
    GeometryError
        If the header's quaternion is longer than one.
    """
    if fields.sform_code in _KNOWN_CODES:
        affine = np.vstack([fields.srow.astype(np.float64), [0, 0, 0, 1]])
    elif fields.qform_code in _KNOWN_CODES:
        affine = _from_quaternion(fields)
    else:
        affine = _from_spacing(fields)
    affine[:3] *= _MM_PER_UNIT.get(fields.xyzt_units & 0b111, 1.0)
    return affine


def _spacing(fields: Fields) -> Matrix:
    spacing: Matrix = np.abs(fields.pixdim[1:4])
    spacing[spacing == 0] = 1
    return spacing


def _from_quaternion(fields: Fields) -> Matrix:
    flip = fields.pixdim[0] if fields.pixdim[0] in (-1, 1) else 1
    affine = np.eye(4)
    affine[:3, :3] = _rotation(fields.quaternion) * (_spacing(fields) * [1, 1, flip])
    affine[:3, 3] = fields.qoffset
    return affine


def _rotation(vector: Matrix) -> Matrix:
    x, y, z = vector.astype(np.longdouble)
    rest = 1 - (x * x + y * y + z * z)
    if abs(rest) < 3 * np.finfo(vector.dtype).eps:
        rest = np.longdouble(0)
    if not rest >= 0:
        raise GeometryError(f"its quaternion {vector.tolist()} is not one of a rotation")
    w = np.sqrt(rest)
    scale = 2 / (w * w + x * x + y * y + z * z)
    part: Matrix = np.array(
        [
            [-(y * y + z * z), x * y - w * z, x * z + w * y],
            [x * y + w * z, -(x * x + z * z), y * z - w * x],
            [x * z - w * y, y * z + w * x, -(x * x + y * y)],
        ]
    )
    return np.asarray(np.eye(3) + scale * part)


def _from_spacing(fields: Fields) -> Matrix:
    axes = min(fields.dim[0], 3)
    spacing, middle = np.ones(3), np.zeros(3)
    spacing[:axes] = _spacing(fields)[:axes]
    middle[:axes] = (np.array(fields.dim[1 : axes + 1]) - 1) / 2
    spacing[0] = -spacing[0]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -spacing * middle
    return affine
