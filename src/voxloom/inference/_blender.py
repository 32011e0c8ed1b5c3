"""Joining patches to a volume in a window of memory that moves along one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import numpy as np

from voxloom._errors import InferenceError
from voxloom.geometry import Index3, Shape3
from voxloom.inference._sinks import Sink
from voxloom.patches import Grid

if TYPE_CHECKING:
    import torch

_PIECE_VOXELS = 1 << 24


@final
class Blender:
    """A weighted mean of overlapping patches, of which only a slab is in memory.

    Patches come in the order of the axis that the window moves along. What lies before the
    next patch is complete: it is divided by its weights and given to the sink, once. Weights
    are the same for all channels and are made for a few planes at a time, axis by axis,
    because the places are a grid even where the window is no product.

    Parameters
    ----------
    grid : Grid
        The places of the patches.
    window : (w, h, d) float32 tensor
        What each voxel of a patch counts.
    first : (C, w', h', d') tensor
        A patch, as the network returns it: w' divides w, and so on.
    sink : Sink
        Where finished planes go.
    device : torch.device
        Where patches are summed.
    """

    def __init__(
        self,
        grid: Grid,
        window: torch.Tensor,
        first: torch.Tensor,
        sink: Sink,
        device: torch.device,
    ) -> None:
        import torch

        self._factors = output_factors(grid, first)
        self._axis = sink.axis
        self._sink = sink
        self._shape = first.shape
        w, h, d = self._factors
        coarse = window[w // 2 :: w, h // 2 :: h, d // 2 :: d]  # as MONAI thins its windows
        self._window = coarse.contiguous().to(device)
        self._positions = [
            (grid.positions(axis) // factor).tolist() for axis, factor in enumerate(self._factors)
        ]
        self._begin = [n // factor for n, factor in zip(grid.border, self._factors, strict=True)]
        self._count = output_shape(grid.spatial_shape, self._factors)
        self._padded = [
            places[-1] + size for places, size in zip(self._positions, first.shape[1:], strict=True)
        ]
        lengths = list(self._padded)
        lengths[self._axis] = first.shape[1 + self._axis] + sink.thickness - 1
        self._sums = torch.zeros((first.shape[0], *lengths), dtype=torch.float32, device=device)
        self._start = 0

    def add(self, patch: torch.Tensor, place: Index3) -> None:
        """Add a patch ``(C, w', h', d')``; `place` says which one along each axis."""
        if patch.shape != self._shape:
            raise InferenceError(
                f"the network returned {tuple(self._shape)} for the first patch and "
                f"{tuple(patch.shape)} for another; it must return one shape"
            )
        first = [places[n] for places, n in zip(self._positions, place, strict=True)]
        self._advance(first[self._axis])
        first[self._axis] -= self._start
        i, j, k = (slice(n, n + size) for n, size in zip(first, self._window.shape, strict=True))
        voxels = patch.to(self._sums, non_blocking=True)
        self._sums[:, i, j, k].addcmul_(voxels, self._window)

    def finish(self) -> None:
        """Give what is left to the sink."""
        self._advance(self._begin[self._axis] + self._count[self._axis])

    def _advance(self, to: int) -> None:
        """Let go of all planes before `to`, which counts from the start of the padding."""
        begin, count = self._begin[self._axis], self._count[self._axis]
        thickness = self._sink.thickness
        end = min(to, begin + count)
        if end < begin + count:
            end = max(begin, begin + (end - begin) // thickness * thickness)
        start = max(self._start, begin)
        if end > start:
            plane = int(np.prod([n for axis, n in enumerate(self._count) if axis != self._axis]))
            step = -(-max(_PIECE_VOXELS // plane, 1) // thickness) * thickness
            for at in range(start, end, step):
                self._write(at, min(at + step, end))
        self._shift(end if to > begin and end < begin + count else to)

    def _write(self, start: int, stop: int) -> None:
        part = self._sums.narrow(1 + self._axis, start - self._start, stop - start)
        for axis in range(3):
            if axis != self._axis:
                part = part.narrow(1 + axis, self._begin[axis], self._count[axis])
        part /= self._weights(start, stop)  # in place: nobody needs the sums again
        self._sink.write(start - self._begin[self._axis], part)

    def _weights(self, start: int, stop: int) -> torch.Tensor:
        weights = self._spread(self._window, self._axis, start, stop)
        for axis in range(3):
            if axis != self._axis:
                first = self._begin[axis]
                weights = self._spread(weights, axis, first, first + self._count[axis])
        return weights

    def _spread(self, window: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
        """Return the sum of `window` at all positions along an axis, from start to stop."""
        size = window.shape[axis]
        shape = list(window.shape)
        shape[axis] = stop - start
        spread = window.new_zeros(shape)
        for position in self._positions[axis]:
            low, high = max(position, start), min(position + size, stop)
            if low < high:
                length = high - low
                spread.narrow(axis, low - start, length).add_(
                    window.narrow(axis, low - position, length)
                )
        return spread

    def _shift(self, start: int) -> None:
        by = start - self._start
        if by <= 0:
            return
        along = 1 + self._axis
        kept = max(self._sums.shape[along] - by, 0)
        for at in range(0, kept, by):  # pieces that do not overlap what they are copied to
            length = min(by, kept - at)
            moved = self._sums.narrow(along, at + by, length)
            self._sums.narrow(along, at, length).copy_(moved)
        self._sums.narrow(along, kept, self._sums.shape[along] - kept).zero_()
        self._start = start


def output_factors(grid: Grid, patch: torch.Tensor) -> Shape3:
    """Return how many voxels of the volume one voxel of the output stands for, by axis.

    Raises
    ------
    InferenceError
        If that is no whole number, or patches do not begin at multiples of it.
    """
    sizes = tuple(patch.shape[1:])
    if len(sizes) != 3 or any(n < 1 or p % n for p, n in zip(grid.patch_size, sizes, strict=True)):
        raise InferenceError(
            f"for a patch of {grid.patch_size} the network should return (B, C, w, h, d), whose "
            f"sizes divide those of the patch, got (B, {', '.join(map(str, patch.shape))})"
        )
    w, h, d = (p // n for p, n in zip(grid.patch_size, sizes, strict=True))
    for axis, factor in enumerate((w, h, d)):
        if (grid.positions(axis) % factor).any() or grid.border[axis] % factor:
            raise InferenceError(
                f"the network returns one voxel for every {(w, h, d)}, but patches do not begin "
                f"at multiples of that; give infer(..., stride={max(w, h, d)})"
            )
    return w, h, d


def output_shape(spatial_shape: Shape3, factors: Shape3) -> Shape3:
    """Return the voxels of an output whose last voxel may reach beyond the volume."""
    w, h, d = (-(-n // factor) for n, factor in zip(spatial_shape, factors, strict=True))
    return w, h, d
