"""Coverage: which places of a grid were added, and how much each voxel weighs then."""

from __future__ import annotations

from typing import final

import numpy as np

from voxloom.geometry import Index3, Shape3
from voxloom.patches._grid import Grid
from voxloom.patches._output import Slices3
from voxloom.patches._window import WINDOWS, AxisWindows, Weights, place_windows


@final
class Coverage:
    """Counts how often each place of a grid was added, and sums their windows exactly.

    Windows are separable: the weight of voxel ``(x, y, z)`` is the sum over the places
    ``(a, b, c)`` of ``counts[a, b, c] * X[a, x] * Y[b, y] * Z[c, z]``, a chain of small matrix
    products. So no volume of weights is kept while patches are added.

    Parameters
    ----------
    grid : Grid
        The places.
    mode : {'crop', 'average', 'hann', 'gaussian'}
        How overlapping patches are joined.
    factor : int
        How many voxels of the volume one voxel of the output stands for.

    Examples
    --------
    >>> coverage = Coverage(Grid.over((4, 3, 3), 3, 2), "average")
    >>> coverage.add((0, 0, 0))
    >>> coverage.weights_in((slice(0, 4), slice(0, 1), slice(0, 1))).ravel().tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    __slots__ = ("_axes", "counts", "mode", "patch_shape", "spatial_shape")

    def __init__(self, grid: Grid, mode: str, factor: int = 1) -> None:
        sizes = zip(
            grid.patch_size, grid.patch_overlap, grid.border, grid.spatial_shape, strict=True
        )
        self._axes: tuple[AxisWindows, ...] = tuple(
            place_windows(grid.positions(axis), *size, mode=mode, factor=factor)
            for axis, size in enumerate(sizes)
        )
        self.mode = mode
        self.counts = np.zeros(grid.counts, dtype=np.int64)
        self.patch_shape = _reduced(grid.patch_size, factor)
        self.spatial_shape = _reduced(grid.spatial_shape, factor)

    @property
    def is_complete(self) -> bool:
        """Whether every place was added."""
        return bool(self.counts.all())

    def add(self, place: Index3) -> None:
        """Note that the patch of this place was added."""
        self.counts[place] += 1

    def target(self, place: Index3) -> Slices3:
        """Return the voxels of the output that the patch of this place is written to."""
        i, j, k = (axis.target(at) for axis, at in zip(self._axes, place, strict=True))
        return i, j, k

    def origin(self, place: Index3) -> Slices3:
        """Return the voxels of the patch of this place that are written."""
        i, j, k = (axis.origin(at) for axis, at in zip(self._axes, place, strict=True))
        return i, j, k

    def window(self) -> Weights:
        """Return what each voxel of a patch counts, ``(w, h, d)`` float64."""
        i, j, k = (WINDOWS[self.mode](size) for size in self.patch_shape)
        return np.asarray(i[:, None, None] * j[:, None] * k)

    def weights_in(self, where: Slices3) -> Weights:
        """Return the sum of weights in a box of the output, float64; 0 where nothing lies."""
        i, j, k = (axis.weights[:, part] for axis, part in zip(self._axes, where, strict=True))
        counts = self.counts.astype(np.float64)
        if counts.min() == counts.max():  # one term instead of a sum over all places
            counts = counts[:1, :1, :1]
            i, j, k = (rows.sum(axis=0, keepdims=True) for rows in (i, j, k))
        return np.asarray(np.einsum("abc,ax,by,cz->xyz", counts, i, j, k, optimize=True))


def _reduced(shape: Shape3, factor: int) -> Shape3:
    w, h, d = (n // factor for n in shape)
    return w, h, d
