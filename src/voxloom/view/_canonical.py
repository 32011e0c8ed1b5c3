"""Volumes as people look at them: turned to RAS+, cut into three planes, in mm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import SubjectError
from voxloom.geometry import Shape3, Space
from voxloom.io import Array

_AXIS_OF = {"L": 0, "R": 0, "P": 1, "A": 1, "I": 2, "S": 2}
_POSITIVE = {"R", "A", "S"}


@final
@dataclass(frozen=True, slots=True)
class Plane:
    """One of the three ways to cut a body.

    Parameters
    ----------
    name : str
        Its name in anatomy.
    normal, across, up : int
        World axis (0: left to right, 1: back to front, 2: feet to head) that is cut, and those
        that run across and up in the picture.
    """

    name: str
    normal: int
    across: int
    up: int

    @property
    def edges(self) -> tuple[str, str, str, str]:
        """What lies at the left, right, bottom and top of the picture."""
        low, high = ("L", "P", "I"), ("R", "A", "S")
        return low[self.across], high[self.across], low[self.up], high[self.up]


SAGITTAL: Final = Plane("sagittal", normal=0, across=1, up=2)
CORONAL: Final = Plane("coronal", normal=1, across=0, up=2)
AXIAL: Final = Plane("axial", normal=2, across=0, up=1)


@final
@dataclass(frozen=True, slots=True)
class Canonical:
    """How to turn a volume so that its axes run to the right, the front and the head.

    Axes are only swapped and reversed, never resampled: where a volume was acquired obliquely,
    "right" is the axis that comes closest. In the pictures the patient's left is on the left, as
    in most of neuroimaging (and not as radiologists hang their films).

    Parameters
    ----------
    order : (3,) tuple of int
        Which voxel axis runs along each world axis.
    reversed : (3,) tuple of bool
        Whether it runs the other way.
    spatial_shape : (W, H, D) tuple of int
        Number of voxels after turning.
    spacing : (3,) tuple of float
        Distance in mm between voxels after turning.

    Examples
    --------
    >>> affine = np.array([[0, -2.0, 0, 0], [3, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    >>> canonical = Canonical.of(Space((4, 5, 6), affine))
    >>> canonical.spatial_shape, canonical.spacing
    ((5, 4, 6), (2.0, 3.0, 1.0))
    >>> canonical.turn_points(np.array([[0, 0, 0]])).tolist()
    [[4, 0, 0]]
    """

    order: tuple[int, int, int]
    reversed: tuple[bool, bool, bool]
    spatial_shape: Shape3
    spacing: tuple[float, float, float]

    @classmethod
    def of(cls, space: Space) -> Self:
        """Return how to turn volumes of a space."""
        names = space.orientation
        i, j, k = sorted(range(3), key=lambda axis: _AXIS_OF[names[axis]])
        shape, spacing = space.spatial_shape, space.spacing
        return cls(
            (i, j, k),
            (names[i] not in _POSITIVE, names[j] not in _POSITIVE, names[k] not in _POSITIVE),
            (shape[i], shape[j], shape[k]),
            (spacing[i], spacing[j], spacing[k]),
        )

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """Size of the volume in mm."""
        x, y, z = (n * mm for n, mm in zip(self.spatial_shape, self.spacing, strict=True))
        return x, y, z

    def turn(self, voxels: Array) -> Array:
        """Return voxels ``(W, H, D)`` turned; a view."""
        turned = voxels.transpose(self.order)
        return turned[tuple(slice(None, None, -1 if back else 1) for back in self.reversed)]

    def turn_points(self, points: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return voxel indices ``(N, 3)`` as they are after turning."""
        turned = np.array(points)[:, self.order]
        for axis, is_reversed in enumerate(self.reversed):
            if is_reversed:
                turned[:, axis] = self.spatial_shape[axis] - 1 - turned[:, axis]
        return turned

    def to_mm(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return turned voxel indices ``(N, 3)`` in mm from the first voxel's centre."""
        millimetres: npt.NDArray[np.float64] = np.asarray(points) * np.array(self.spacing)
        return millimetres

    def cut(self, voxels: Array, plane: Plane, index: int) -> Array:
        """Return a picture of voxels ``(W, H, D)``: rows run up, columns across.

        `index` counts turned voxels along the plane's normal.
        """
        picture: Array = np.take(self.turn(voxels), index, axis=plane.normal).T
        return picture

    def bounds_mm(self, plane: Plane) -> tuple[float, float, float, float]:
        """Return the left, right, bottom and top of a picture, in mm, as `to_mm` counts."""
        sides = [
            edge
            for axis in (plane.across, plane.up)
            for edge in (-0.5, self.spatial_shape[axis] - 0.5)
        ]
        left, right = (side * self.spacing[plane.across] for side in sides[:2])
        bottom, top = (side * self.spacing[plane.up] for side in sides[2:])
        return left, right, bottom, top

    def __iter__(self) -> Iterator[Plane]:
        """Iterate over the three planes, in the order in which they are shown."""
        return iter((SAGITTAL, CORONAL, AXIAL))


def place_cut(
    canonical: Canonical, voxel: tuple[int, int, int] | None, inside: Array | None
) -> tuple[int, int, int]:
    """Return where three planes meet, in turned voxels.

    At `voxel` if given, else in the middle of what is not 0 `inside`, else in the middle.

    Raises
    ------
    SubjectError
        A ValueError, if `voxel` lies outside the volume.
    """
    if voxel is not None:
        turned = canonical.turn_points(np.array([voxel]))[0]
        if (turned < 0).any() or (turned >= canonical.spatial_shape).any():
            raise SubjectError(
                f"at={voxel} is outside the volume; choose voxel indices (i, j, k) inside it"
            )
    elif inside is not None and inside.any():
        turned = np.array([_median(canonical.turn(inside), axis) for axis in range(3)])
    else:
        turned = np.array(canonical.spatial_shape) // 2
    x, y, z = (int(n) for n in turned)
    return x, y, z


def _median(voxels: Array, axis: int) -> int:
    others = tuple(other for other in range(3) if other != axis)
    mass = np.cumsum(np.count_nonzero(voxels, axis=others))
    return int(np.searchsorted(mass, mass[-1] / 2))
