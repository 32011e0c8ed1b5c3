"""Grids: the places of equal patches that cover a volume, in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import PatchSizeError
from voxloom.geometry import Index3, Shape3
from voxloom.patches._size import check_patch_fits, is_whole, listed, parse_patch_size

Locations = npt.NDArray[np.int64]


def grid_locations(spatial_shape: Shape3, patch_size: Any, patch_overlap: Any = 0) -> Locations:
    """Return the places of the patches of a regular grid over a volume.

    Patches follow each other at ``patch_size - patch_overlap``; the last one of each axis
    ends where the volume ends. The scheme is that of NiftyNet (Gibson et al., 2018).

    Parameters
    ----------
    spatial_shape : (W, H, D) tuple of int
        Voxels of the volume along each axis.
    patch_size : int or three int
        Voxels of a patch.
    patch_overlap : int or three int
        Voxels that neighbours share at least; even, and smaller than the patch.

    Returns
    -------
    (N, 6) int64
        The first voxel of each patch and the one after its last, in lexicographic order.

    Raises
    ------
    PatchSizeError
        A ValueError, if a size or overlap cannot be used.
    PatchTooLargeError
        A ValueError and RuntimeError, if the patch is larger than the volume.

    Examples
    --------
    >>> grid_locations((10, 5, 5), 5, (2, 0, 0))[:, 0].tolist()
    [0, 3, 5]
    """
    return Grid.over(spatial_shape, patch_size, patch_overlap).locations


@final
@dataclass(frozen=True, slots=True)
class Grid:
    """Places of equal patches that cover a volume; make one with `Grid.over`.

    Attributes
    ----------
    spatial_shape : (W, H, D) tuple of int
        Voxels of the volume, without padding.
    patch_size, patch_overlap : tuple of three int
        Voxels of a patch, and those it shares with its neighbour at least.
    border : tuple of three int
        Voxels of padding before the first voxel of the volume.
    padded_shape : tuple of three int
        Voxels of the volume with its padding.
    """

    spatial_shape: Shape3
    patch_size: Shape3
    patch_overlap: Shape3
    border: Shape3
    padded_shape: Shape3

    @classmethod
    def over(
        cls,
        spatial_shape: Shape3,
        patch_size: Any,
        patch_overlap: Any = 0,
        *,
        padded: bool = False,
        name: str = "the volume",
    ) -> Self:
        """Return the grid over a volume, padded by half the overlap on each side if asked.

        A padded volume that is still smaller than the patch is padded to its size. Errors
        call the volume `name`.
        """
        size = parse_patch_size(patch_size)
        overlap = parse_patch_overlap(patch_overlap, size)
        if not padded:
            check_patch_fits(size, spatial_shape, name)
            return cls(spatial_shape, size, overlap, (0, 0, 0), spatial_shape)
        shape, border = [], []
        for length, patch, shared in zip(spatial_shape, size, overlap, strict=True):
            shape.append(max(length + shared, patch))
            border.append((shape[-1] - length) // 2)
        return cls(spatial_shape, size, overlap, as_index3(border), as_index3(shape))

    def positions(self, axis: int) -> npt.NDArray[np.int64]:
        """Return the first voxels of the patches along one axis, in the padded volume."""
        last = self.padded_shape[axis] - self.patch_size[axis]
        step = self.patch_size[axis] - self.patch_overlap[axis]
        return np.append(np.arange(0, last, step), last).astype(np.int64)

    @property
    def counts(self) -> Shape3:
        """Number of patches along each axis."""
        return as_index3([len(self.positions(axis)) for axis in range(3)])

    def location(self, number: int) -> tuple[int, ...]:
        """Return the first voxel of one patch and the one after its last, in the order."""
        steps = np.unravel_index(number, self.counts)
        first = [int(self.positions(axis)[step]) for axis, step in enumerate(steps)]
        return (*first, *(n + size for n, size in zip(first, self.patch_size, strict=True)))

    def find(self, location: Sequence[int]) -> Index3 | None:
        """Return which patch along each axis lies at `location`, or None if none does."""
        place = []
        for axis, first in enumerate(location[:3]):
            positions = self.positions(axis)
            step = int(np.searchsorted(positions, first))
            end = first + self.patch_size[axis]
            if step == len(positions) or positions[step] != first or location[axis + 3] != end:
                return None
            place.append(step)
        return as_index3(place)

    @property
    def locations(self) -> Locations:
        """The first voxel of each patch and the one after its last, ``(N, 6)``.

        They count voxels of the padded volume, and are sorted.
        """
        places = list(product(*(self.positions(axis).tolist() for axis in range(3))))
        first = np.array(places, dtype=np.int64)
        return np.hstack([first, first + np.array(self.patch_size)])


def parse_patch_overlap(value: Any, patch_size: Shape3) -> Shape3:
    """Return the overlap ``(w, h, d)`` in voxels that `value` stands for.

    Raises
    ------
    PatchSizeError
        If it is not one or three even integers from 0 to less than the patch size.

    Examples
    --------
    >>> parse_patch_overlap(2, (8, 8, 4))
    (2, 2, 2)
    """
    entries = listed(value)
    if len(entries) != 3 or not all(is_whole(n) and n >= 0 and n % 2 == 0 for n in entries):
        raise PatchSizeError(
            "patch_overlap is an even number of voxels, 0 or more, or three of them (w, h, d), "
            f"so that half of it can be taken from each side; got {value!r}"
        )
    if any(n >= p for n, p in zip(entries, patch_size, strict=True)):
        raise PatchSizeError(
            f"patch_overlap is smaller than the patch along each axis, got "
            f"patch_overlap={entries} and patch_size={patch_size}"
        )
    return as_index3(entries)


def as_index3(values: Iterable[Any]) -> Index3:
    """Return three plain integers as a tuple."""
    i, j, k = (int(value) for value in values)
    return i, j, k
