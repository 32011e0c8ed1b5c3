"""The sampling index: sums over blocks of a map, and the exact draw that they allow.

A draw in two levels: a block in proportion to its sum, then a voxel of it in proportion to
its mass, which reads one block of the map. The index is built in one pass in the order in
which the map lies in memory, holds one number a block, and does not depend on the patch
size. Blocks and the voxels in them are numbered by place, not by memory order, so a map
gives the same draws however it is stored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import ProbabilityError
from voxloom.geometry import Box, Shape3
from voxloom.io import Array
from voxloom.patches._label_counter import LabelCounter
from voxloom.patches._mass import LabelVoxels, Mass, Weights

BLOCK: Final = 8
"""Length of a block along each axis, in voxels."""

_SLAB_VOXELS: Final = 2**18  # a slab of float64 stays in the second-level cache or near it


@final
@dataclass(frozen=True, slots=True, eq=False)
class BlockIndex:
    """The mass of every block of a map.

    Parameters
    ----------
    mass : Mass
        What a voxel counts for.
    sums : (ceil(W / 8), ceil(H / 8), ceil(D / 8)) array
        Mass of each block: float64 for weights, uint16 for counted voxels.

    Examples
    --------
    >>> from voxloom.patches._mass import Foreground
    >>> (index,) = index_masses(np.ones((1, 10, 8, 1), dtype=np.uint8), [Foreground()])
    >>> index.sums.ravel().tolist()
    [64, 16]
    """

    mass: Mass
    sums: npt.NDArray[Any]

    @property
    def total(self) -> float:
        """Mass of the whole map; an exact integer for counted voxels."""
        return self.sums.sum(dtype=exact_dtype(self.mass)).item()  # type: ignore[no-any-return]


def index_masses(
    array: Array, masses: Sequence[Mass], within: Box | None = None
) -> list[BlockIndex]:
    """Return the index of each mass over a map, all built in one pass.

    Parameters
    ----------
    array : (C, W, H, D) array
        The map, in any memory order.
    masses : sequence of Mass
        What to index.
    within : Box, optional
        Where voxels may be drawn: only the blocks that it touches are looked at, and the
        others count for nothing.

    Raises
    ------
    ProbabilityError
        If a weight is negative, NaN or infinite.
    """
    if within is not None:
        return _index_part(array, masses, blocks_touched(within))
    order = memory_order(array)
    view = array.transpose(0, *(axis + 1 for axis in order))
    blocks = tuple(-(-length // BLOCK) for length in view.shape[1:])
    sums = [np.zeros(blocks, dtype=np.float64 if _weighs(m) else np.uint16) for m in masses]
    counted, summed = _split(masses, array.dtype)
    counter = LabelCounter([label for _, label in counted], BLOCK) if counted else None
    with np.errstate(over="ignore"):  # found below, in the sums
        for place, slab, scratch in _slabs(view, masses):
            for n, mass in summed:
                sums[n][place] = _sum_blocks(mass, slab, scratch[mass.dtype])
            if counter is not None:
                for (n, _), counts in zip(counted, counter.count(slab[0]), strict=True):
                    sums[n][place] = counts
    indices = [
        BlockIndex(mass, np.ascontiguousarray(total.transpose(np.argsort(order))))
        for mass, total in zip(masses, sums, strict=True)
    ]
    return [_without_overflow(array, index) for index in indices]


def pick(cumulative: npt.NDArray[Any], word: int) -> int:
    """Return the place that a 64-bit word chooses, in proportion to the steps of `cumulative`.

    Parameters
    ----------
    cumulative : (N,) int64 or float64
        Running sum of what the places count for; its last entry is above zero.
    word : int
        A random 64-bit word.

    Returns
    -------
    int
        Never a place whose step is zero.

    Examples
    --------
    >>> [pick(np.array([0, 1, 1, 4]), word) for word in (0, 2**62, 2**64 - 1)]
    [1, 3, 3]
    """
    total = cumulative[-1].item()
    if isinstance(total, int):
        return int(cumulative.searchsorted((word * total) >> 64, side="right"))
    # Rounding may carry the product up to the total, past the last step.
    target = min(word * 2.0**-64 * total, math.nextafter(total, 0.0))
    return int(cumulative.searchsorted(target, side="right"))


def blocks_touched(box: Box) -> Box:
    """Return the blocks that hold voxels of a box.

    Examples
    --------
    >>> blocks_touched(Box((7, 8, 9), (8, 9, 24)))
    Box(index_ini=(0, 1, 1), index_fin=(1, 2, 3))
    """
    i, j, k = (n // BLOCK for n in box.index_ini)
    w, h, d = (-(-n // BLOCK) for n in box.index_fin)
    return Box((i, j, k), (w, h, d))


def exact_dtype(mass: Mass) -> type[np.float64 | np.int64]:
    """Return the dtype in which masses add up: float64 for weights, int64 for counts."""
    return np.float64 if _weighs(mass) else np.int64


def memory_order(array: Array) -> Shape3:
    """Return the spatial axes 0, 1, 2 of a ``(C, W, H, D)`` array, slowest in memory first.

    Examples
    --------
    >>> memory_order(np.zeros((1, 2, 3, 4))), memory_order(np.zeros((1, 2, 3, 4), order="F"))
    ((0, 1, 2), (2, 1, 0))
    """
    i, j, k = sorted(range(3), key=lambda axis: -abs(array.strides[axis + 1]))
    return i, j, k


def _index_part(array: Array, masses: Sequence[Mass], touched: Box) -> list[BlockIndex]:
    x, y, z = (
        slice(a * BLOCK, b * BLOCK)
        for a, b in zip(touched.index_ini, touched.index_fin, strict=True)
    )
    indices = []
    for index in index_masses(array[:, x, y, z], masses):
        sums = np.zeros([-(-length // BLOCK) for length in array.shape[1:]], index.sums.dtype)
        sums[touched.slices] = index.sums
        indices.append(replace(index, sums=sums))
    return indices


def _split(
    masses: Sequence[Mass], dtype: np.dtype[Any]
) -> tuple[list[tuple[int, int]], list[tuple[int, Mass]]]:
    """Return the labels that are counted together, and the masses that are summed in turn."""
    labels = [(n, mass.label) for n, mass in enumerate(masses) if isinstance(mass, LabelVoxels)]
    if not LabelCounter.pays([label for _, label in labels], dtype):
        labels = []
    together = {n for n, _ in labels}
    return labels, [(n, mass) for n, mass in enumerate(masses) if n not in together]


def _weighs(mass: Mass) -> bool:
    return mass.dtype.kind == "f"


_Scratch = dict[np.dtype[Any], npt.NDArray[Any]]


def _slabs(
    view: Array, masses: Sequence[Mass]
) -> Iterator[tuple[tuple[int, slice], Array, _Scratch]]:
    """Yield slabs one block thick, with a scratch of whole blocks whose rim is zero."""
    _, slow, middle, fast = view.shape
    width = -(-fast // BLOCK) * BLOCK
    bands = _SLAB_VOXELS // (BLOCK * width) // BLOCK
    rows = min(max(bands, 1), -(-middle // BLOCK)) * BLOCK
    scratch = {m.dtype: np.zeros((BLOCK, rows, width), dtype=m.dtype) for m in masses}
    for i in range(0, slow, BLOCK):
        for j in range(0, middle, rows):
            slab = view[:, i : i + BLOCK, j : j + rows]
            if slab.shape[1:3] != (BLOCK, rows):
                for memory in scratch.values():
                    memory.fill(0)
            first = j // BLOCK
            yield (i // BLOCK, slice(first, first + -(-slab.shape[2] // BLOCK))), slab, scratch


def _sum_blocks(mass: Mass, slab: Array, scratch: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(mass, Weights):
        mass.check(slab)
    _, thick, rows, width = slab.shape
    mass.fill(slab, scratch[:thick, :rows, :width])
    # 64 voxels fit a byte, 512 need two: each stage adds in the least that holds its sum.
    part, whole = (np.float64, np.float64) if _weighs(mass) else (np.uint8, np.uint16)
    columns = np.add.reduce(scratch.view(part), axis=0, dtype=part)
    bands = np.add.reduce(columns.reshape(-1, BLOCK, columns.shape[1]), axis=1, dtype=part)
    pieces = bands.reshape(len(bands), -1, BLOCK)
    sums: npt.NDArray[Any] = np.add.reduce(pieces, axis=2, dtype=whole)
    return sums[: -(-rows // BLOCK)]


def _without_overflow(array: Array, index: BlockIndex) -> BlockIndex:
    mass = index.mass
    if not isinstance(mass, Weights):
        return index
    with np.errstate(over="ignore"):
        if np.isfinite(index.total):
            return index
    if mass.scale != 1.0 or not np.isfinite(array.max()):
        raise ProbabilityError(
            f"weights are 0 or more, and finite; {mass.name} holds {array.max()}: clip it, or "
            "replace what is infinite, before sampling"
        )
    (scaled,) = index_masses(array, [replace(mass, scale=2.0**-64)])
    return scaled
