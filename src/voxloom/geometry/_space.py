"""Spaces: the grid of a volume and where it lies in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom._errors import GeometryError
from voxloom.geometry._affine import Affine, as_affine, corners, orientation_of, spacing_of
from voxloom.geometry._box import Box, Shape3

Point = tuple[float, float, float]

_OPPOSITE = dict(zip("LRPAISTB", "RLAPSIBT", strict=True))


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """The grid of a volume: its spatial shape in voxels and its affine.

    Parameters
    ----------
    spatial_shape : (W, H, D) tuple of int
        Number of voxels along each axis.
    affine : (4, 4) float64
        Voxel indices to world, RAS+, mm.

    Examples
    --------
    >>> space = Space((10, 10, 10), np.diag([2.0, 2.0, 2.0, 1.0]))
    >>> space.spacing
    (2.0, 2.0, 2.0)
    >>> space.crop(Box((1, 0, 0), (5, 5, 5))).affine[:3, 3].tolist()
    [2.0, 0.0, 0.0]
    """

    spatial_shape: Shape3
    affine: Affine

    def __post_init__(self) -> None:
        object.__setattr__(self, "affine", as_affine(self.affine))

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbouring voxels along each axis."""
        return spacing_of(self.affine)

    @property
    def orientation(self) -> tuple[str, str, str]:
        """Where each voxel axis points, e.g. ``('R', 'A', 'S')``."""
        return orientation_of(self.affine)

    @property
    def center(self) -> Point:
        """Middle of the volume, in mm."""
        x, y, z = self._world(np.array([self.spatial_shape]) / 2 - 0.5)[0].tolist()
        return x, y, z

    @property
    def bounds(self) -> tuple[tuple[float, float], ...]:
        """Least and largest coordinate in mm, along x, y and z, that a voxel's edge reaches.

        Examples
        --------
        >>> Space((4, 5, 6), np.diag([2.0, 1.0, -1.0, 1.0])).bounds
        ((-1.0, 7.0), (-0.5, 4.5), (-5.5, 0.5))
        """
        w, h, d = self.spatial_shape
        edges = self._world(corners((w + 1, h + 1, d + 1)) - 0.5)
        return tuple((min(along), max(along)) for along in edges.T.tolist())

    def axis_index(self, name: str) -> int:
        """Return which voxel axis runs along a side of the body, counted from the last: -3 to -1.

        Parameters
        ----------
        name : str
            ``'left'``, ``'right'``, ``'anterior'``, ``'posterior'``, ``'inferior'`` or
            ``'superior'``, or ``'top'`` or ``'bottom'`` of a slice. Its first letter will do.

        Raises
        ------
        GeometryError
            If it is none of these.

        Examples
        --------
        >>> Space((4, 5, 6), np.eye(4)).axis_index("left")
        -3
        """
        letter = str(name)[:1].upper()
        if letter not in _OPPOSITE:
            raise GeometryError(
                f"an axis is called left, right, anterior, posterior, inferior, superior, top or "
                f"bottom, or by the first letter of these; got {name!r}"
            )
        if letter in "TB":
            return -2
        axes = self.orientation
        return axes.index(letter if letter in axes else _OPPOSITE[letter]) - 3

    def crop(self, box: Box) -> Space:
        """Return the space of the voxels in `box`, which may overhang this space."""
        affine = self.affine.copy()
        affine[:3, 3] = self.affine[:3] @ np.array([*box.index_ini, 1.0])
        affine.setflags(write=False)  # so that it need not be copied again
        return Space(box.size, affine)

    def distance_mm(self, other: Space) -> float:
        """Return the largest distance in mm between a corner voxel and its twin in `other`."""
        return float(np.linalg.norm(self._offsets(other), axis=1).max())

    def distance_voxels(self, other: Space) -> float:
        """Return the largest offset of a corner voxel from its twin, in voxels of this space."""
        offsets = np.linalg.solve(self.affine[:3, :3], self._offsets(other).T)
        return float(np.linalg.norm(offsets, axis=0).max())

    def _offsets(self, other: Space) -> Affine:
        twin: Affine = other._world(corners(other.spatial_shape))
        return twin - self._world(corners(self.spatial_shape))

    def _world(self, indices: Affine) -> Affine:
        return np.asarray(indices @ self.affine[:3, :3].T + self.affine[:3, 3])
