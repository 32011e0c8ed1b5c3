"""Joining patches to a volume in a window of memory that moves along one axis."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, final

from voxloom._errors import InferenceError
from voxloom.geometry import Index3, Shape3
from voxloom.inference._cutters import move_planes
from voxloom.inference._sinks import Sink
from voxloom.patches import Grid

if TYPE_CHECKING:
    import torch

_PIECE_VOXELS = 1 << 19  # the weights of so many voxels stay in a cache while they divide
_Run = tuple[slice, slice]


@final
class Blender:
    """A weighted mean of overlapping patches, of which only a slab is in memory.

    Patches come in the order of the axis that the window moves along. What lies before the
    next patch is complete: it is divided by its weights and given to the sink, once. Where
    the sink is memory of the whole output, patches are summed there and nothing moves. Weights
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

        factors = output_factors(grid, first)
        w, h, d = factors
        coarse = window[w // 2 :: w, h // 2 :: h, d // 2 :: d]  # as MONAI thins its windows
        self._window = coarse.contiguous().to(device)
        self._is_flat = bool((coarse == 1).all())
        self._axis, self._sink, self._shape = sink.axis, sink, first.shape
        self._count = output_shape(grid.spatial_shape, factors)
        self._first = [
            ((grid.positions(axis) - grid.border[axis]) // factor).tolist()
            for axis, factor in enumerate(factors)
        ]
        self._runs = [
            [_run(position, size, count) for position in positions]
            for positions, size, count in zip(
                self._first, first.shape[1:], self._count, strict=True
            )
        ]
        whole = sink.memory(len(first)) if device.type == "cpu" else None
        self._is_whole = whole is not None
        if whole is None:
            lengths = list(self._count)
            slab = first.shape[1 + self._axis] + sink.thickness - 1
            lengths[self._axis] = min(slab, lengths[self._axis])
            whole = torch.zeros((len(first), *lengths), dtype=torch.float32, device=device)
        self._sums = whole
        self._start = 0  # the plane of the output that is the first of the sums
        self._done = 0
        self._scratches: dict[int, torch.Tensor] = {}

    def add(self, patch: torch.Tensor, place: Index3) -> None:
        """Add a patch ``(C, w', h', d')``; `place` says which one along each axis."""
        if patch.shape != self._shape:
            raise InferenceError(
                f"the network returned {tuple(self._shape)} for the first patch and "
                f"{tuple(patch.shape)} for another; it must return one shape"
            )
        self._advance(self._first[self._axis][place[self._axis]])
        runs = [runs[n] for runs, n in zip(self._runs, place, strict=True)]
        targets, origins = [run[0] for run in runs], tuple(run[1] for run in runs)
        along = targets[self._axis]
        targets[self._axis] = slice(along.start - self._start, along.stop - self._start)
        voxels = patch.to(self._sums, non_blocking=True)[(slice(None), *origins)]
        sums = self._sums[(slice(None), *targets)]
        if self._is_flat:
            sums.add_(voxels)
        else:
            sums.addcmul_(voxels, self._window[origins])

    def finish(self) -> None:
        """Give what is left to the sink."""
        self._advance(self._count[self._axis])

    def _advance(self, to: int) -> None:
        """Let go of all planes before `to`, or as many as are a multiple of the thickness."""
        count, thickness = self._count[self._axis], self._sink.thickness
        end = count if to >= count else to // thickness * thickness
        if end <= self._done:
            return
        step = -(-self._planes() // thickness) * thickness
        for at in range(self._done, end, step):
            part = self._divide(at, min(at + step, end))
            if not self._is_whole:
                self._sink.write(at, part)
        self._done = end
        if not self._is_whole and end < count:
            self._shift(end)

    def _planes(self) -> int:
        """Return how many planes are divided at a time."""
        plane = math.prod(self._count) // self._count[self._axis]
        return max(_PIECE_VOXELS // plane, 1)

    def _divide(self, start: int, stop: int) -> torch.Tensor:
        """Turn the sums of some planes into means, in place: nobody needs the sums again."""
        along, step = 1 + self._axis, self._planes()
        for at in range(start, stop, step):
            size = min(step, stop - at)
            part = self._sums.narrow(along, at - self._start, size)
            part /= self._weights(at, at + size)
        return self._sums.narrow(along, start - self._start, stop - start)

    def _weights(self, start: int, stop: int) -> torch.Tensor:
        weights = self._spread(self._window, self._axis, start, stop)
        for axis in range(3):
            if axis != self._axis:
                weights = self._spread(weights, axis, 0, self._count[axis])
        return weights

    def _spread(self, window: torch.Tensor, axis: int, start: int, stop: int) -> torch.Tensor:
        """Return the sum of `window` at all positions along an axis, from start to stop."""
        size = window.shape[axis]
        shape = list(window.shape)
        shape[axis] = stop - start
        spread, reached = self._scratch(axis, shape), start
        for position in self._first[axis]:
            low, high = max(position, start), min(position + size, stop)
            middle = min(max(low, reached), high)  # up to here there is something to add to
            if low < middle:
                part = window.narrow(axis, low - position, middle - low)
                spread.narrow(axis, low - start, middle - low).add_(part)
            if middle < high:
                part = window.narrow(axis, middle - position, high - middle)
                spread.narrow(axis, middle - start, high - middle).copy_(part)
                reached = high
        return spread

    def _scratch(self, axis: int, shape: list[int]) -> torch.Tensor:
        """Return memory of this shape with any content, the same for an axis every time."""
        voxels = math.prod(shape)
        if axis not in self._scratches or self._scratches[axis].numel() < voxels:
            self._scratches[axis] = self._window.new_empty(voxels)
        return self._scratches[axis][:voxels].view(shape)

    def _shift(self, start: int) -> None:
        along = 1 + self._axis
        kept = move_planes(self._sums, along, start - self._start)
        self._sums.narrow(along, kept, self._sums.shape[along] - kept).zero_()
        self._start = start


def _run(position: int, size: int, count: int) -> _Run:
    """Return which voxels of the output a patch covers, and which of its own those are."""
    low, high = min(max(position, 0), count), max(min(position + size, count), 0)
    high = max(low, high)
    return slice(low, high), slice(low - position, high - position)


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
