"""Spaces: the grid of a volume and where it lies in the world."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxloom.geometry._affine import Affine, as_affine, corners, orientation_of, spacing_of
from voxloom.geometry._box import Box, Shape3


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
        ours, theirs = corners(self.spatial_shape), corners(other.spatial_shape)
        world = ours @ self.affine[:3, :3].T + self.affine[:3, 3]
        twin = theirs @ other.affine[:3, :3].T + other.affine[:3, 3]
        return twin - world
