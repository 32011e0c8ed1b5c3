"""The sampling index: sums over blocks of a map, and the exact draw that they allow.

A draw in two levels: a block in proportion to its sum, then a voxel of it in proportion to
its mass, which reads one block of the map. The index is built in one pass, in the order in
which the map lies in memory or part by part where it is read. It holds one number for each
block that is not empty, and does not depend on the patch size. Blocks and the voxels in them are
numbered by place, not by memory order, so a map gives the same draws however it is stored.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom._cores import count_threads
from voxloom._errors import ProbabilityError
from voxloom.geometry import Box, Index3, Shape3
from voxloom.io import Array
from voxloom.patches._block_rows import BlockRows
from voxloom.patches._label_counter import LabelCounter
from voxloom.patches._mass import LabelVoxels, Mass, Weights
from voxloom.patches._voxels import Voxels, parts_of, read_part
from voxloom.patches._weight_sums import sum_weights

BLOCK: Final = 8
"""Length of a block along each axis, in voxels."""

_SLAB_VOXELS: Final = 2**18  # a slab and its masses stay in the second-level cache
_LEAST_TOTAL: Final = 2.0**-900  # of less, a share of 2**-64 might be rounded to a neighbour
_THREAD_WEIGHTS: Final = 2**21  # fewer are added up before a thread began; labels always are


@final
@dataclass(frozen=True, slots=True, eq=False)
class BlockIndex:
    """The mass of every block of a map.

    Parameters
    ----------
    mass : Mass
        What a voxel counts for.
    rows : BlockRows
        Mass of each of ``(ceil(W / 8), ceil(H / 8), ceil(D / 8))`` blocks: float64 for weights,
        uint16 for counted voxels.

    Examples
    --------
    >>> from voxloom.patches._mass import Foreground
    >>> (index,) = index_masses(np.ones((1, 10, 8, 1), dtype=np.uint8), [Foreground()])
    >>> index.sums.ravel().tolist()
    [64, 16]
    """

    mass: Mass
    rows: BlockRows

    @property
    def sums(self) -> npt.NDArray[Any]:
        """All sums as a dense table."""
        return self.rows.dense()

    @property
    def total(self) -> float:
        """Mass of the whole map; an exact integer for counted voxels."""
        return self.rows.total(exact_dtype(self.mass))  # type: ignore[no-any-return]


def index_masses(
    voxels: Voxels, masses: Sequence[Mass], within: Box | None = None
) -> list[BlockIndex]:
    """Return the index of each mass over a map, all built in one pass.

    Parameters
    ----------
    voxels : Voxels
        The map: an array ``(C, W, H, D)`` in any memory order, or what is read part by part.
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
    _, w, h, d = voxels.shape
    if within is None:
        return index_part(voxels, masses, Box((0, 0, 0), (w, h, d)))
    touched = blocks_touched(within)
    i, j, k = (n * BLOCK for n in touched.index_ini)
    fin = [min(b * BLOCK, n) for b, n in zip(touched.index_fin, (w, h, d), strict=True)]
    indices = index_part(voxels, masses, Box((i, j, k), (fin[0], fin[1], fin[2])))
    blocks = (-(-w // BLOCK), -(-h // BLOCK), -(-d // BLOCK))
    return [replace(index, rows=index.rows.embed(touched.index_ini, blocks)) for index in indices]


def index_part(voxels: Voxels, masses: Sequence[Mass], part: Box) -> list[BlockIndex]:
    """Return the index of each mass over a part of a map; its blocks begin where the part does.

    Raises
    ------
    ProbabilityError
        If a weight is negative, NaN or infinite.
    """
    slabs = _slabs_of_sums(voxels, masses, part)
    joined = _joined(slabs, len(masses))
    indices = [BlockIndex(mass, rows) for mass, rows in zip(masses, joined, strict=True)]
    return [_in_range(voxels, index, part) for index in indices]


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
    steps = cumulative.data  # bisected in a quarter of the time that `searchsorted` takes
    return bisect_right(steps, _target(steps[-1], word))


def pick_block(rows: BlockRows, cumulative: npt.NDArray[Any], word: int) -> Index3:
    """Return the block that a 64-bit word chooses: that of `pick` over all blocks in turn.

    Parameters
    ----------
    rows : BlockRows
        What the blocks count for.
    cumulative : (X * Y,) int64 or float64
        Their running sum at the end of each row; its last entry is above zero.
    word : int
        A random 64-bit word.
    """
    steps = cumulative.data
    target = _target(steps[-1], word)
    number = bisect_right(steps, target)
    before = steps[number - 1] if number else 0
    first, values = rows.row(number)
    if isinstance(target, int):  # counts add up to the same in any order
        running, target = values.cumsum(dtype=cumulative.dtype), target - before
    else:
        running = np.concatenate([[before], values]).cumsum(dtype=cumulative.dtype)[1:]
    return (*divmod(number, rows.blocks[1]), first + bisect_right(running.data, target))


def _target(total: float, word: int) -> float:
    if isinstance(total, int):
        return (word * total) >> 64
    # Rounding may carry the product up to the total, past the last step.
    return min(word * 2.0**-64 * total, math.nextafter(total, 0.0))


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


def _joined(slabs: Iterator[list[npt.NDArray[Any]]], count: int) -> list[BlockRows]:
    """Return the rows of each of `count` masses, whose sums come slab by slab."""
    kept: list[list[BlockRows]] = [[] for _ in range(count)]
    for slab in slabs:
        for rows, sums in zip(kept, slab, strict=True):
            rows.append(BlockRows.of(sums))
    return [BlockRows.joined(rows) for rows in kept]


def _slabs_of_sums(
    voxels: Voxels, masses: Sequence[Mass], part: Box
) -> Iterator[list[npt.NDArray[Any]]]:
    """Yield the dense sums of each mass over slabs along the first axis."""
    for boxes in parts_of(voxels, part, BLOCK):
        if len(boxes) == 1:
            yield _sums(read_part(voxels, boxes[0]), masses)
            continue
        thick = boxes[0].size[0]
        blocks = [-(-n // BLOCK) for n in (thick, *part.size[1:])]
        slab = [np.zeros(blocks, _dtype_of_sums(mass)) for mass in masses]
        for box in boxes:
            shift = [b - a for a, b in zip(boxes[0].index_ini, box.index_ini, strict=True)]
            places = tuple(
                slice(n // BLOCK, -(-(n + size) // BLOCK))
                for n, size in zip(shift, box.size, strict=True)
            )
            for table, sums in zip(slab, _sums(read_part(voxels, box), masses), strict=True):
                table[places] = sums
        yield slab


def _sums(array: Array, masses: Sequence[Mass]) -> list[npt.NDArray[Any]]:
    """Return the sums over blocks of each mass over an array, in one pass."""
    order = memory_order(array)
    view = array.transpose(0, *(axis + 1 for axis in order))
    blocks = tuple(-(-length // BLOCK) for length in view.shape[1:])
    sums = [np.zeros(blocks, _dtype_of_sums(mass)) for mass in masses]

    def add(first: int, last: int) -> None:
        _add_blocks(view[:, first * BLOCK : last * BLOCK], masses, [t[first:last] for t in sums])

    weighs = any(map(_weighs, masses))
    number = min(count_threads(), 1 + array[0].size // _THREAD_WEIGHTS) if weighs else 1
    share = math.ceil(blocks[0] / number)
    firsts = range(0, blocks[0], share)
    if number == 1:
        add(0, blocks[0])
    else:
        from concurrent.futures import ThreadPoolExecutor  # which workers never need

        with ThreadPoolExecutor(number) as threads:
            list(threads.map(add, firsts, [first + share for first in firsts]))
    return [total.transpose(np.argsort(order)) for total in sums]


def _add_blocks(view: Array, masses: Sequence[Mass], sums: list[npt.NDArray[Any]]) -> None:
    """Write the sums over the blocks of a view, slowest axis first, into a table for each mass."""
    counted, compared = _split(masses, view.dtype)
    with np.errstate(over="ignore"):  # found in the sums of all
        for mass, table in zip(masses, sums, strict=True):
            if isinstance(mass, Weights):
                sum_weights(mass, view, table, BLOCK)
    if not counted and not compared:
        return
    counter = LabelCounter([label for _, label in counted], BLOCK) if counted else None
    for place, slab, scratch in _slabs(view):
        for n, mass in compared:
            sums[n][place] = _count_blocks(mass, slab, scratch)
        if counter is not None:
            for (n, _), counts in zip(counted, counter.count(slab[0]), strict=True):
                sums[n][place] = counts


def _dtype_of_sums(mass: Mass) -> type[np.float64 | np.uint16]:
    return np.float64 if _weighs(mass) else np.uint16


def _split(
    masses: Sequence[Mass], dtype: np.dtype[Any]
) -> tuple[list[tuple[int, int]], list[tuple[int, Mass]]]:
    """Return the labels that are counted together, and the masses that are counted in turn."""
    labels = [(n, mass.label) for n, mass in enumerate(masses) if isinstance(mass, LabelVoxels)]
    if not LabelCounter.pays([label for _, label in labels], dtype):
        labels = []
    together = {n for n, _ in labels}
    others = [(n, mass) for n, mass in enumerate(masses) if n not in together]
    return labels, [(n, mass) for n, mass in others if not _weighs(mass)]


def _weighs(mass: Mass) -> bool:
    return isinstance(mass, Weights)


def _slabs(view: Array) -> Iterator[tuple[tuple[int, slice], Array, npt.NDArray[np.bool_]]]:
    """Yield slabs one block thick, with a scratch of whole blocks whose rim is zero."""
    _, slow, middle, fast = view.shape
    width = -(-fast // BLOCK) * BLOCK
    rows = max(_SLAB_VOXELS // BLOCK // width // BLOCK, 1) * BLOCK
    rows = min(rows, -(-middle // BLOCK) * BLOCK)
    scratch = np.zeros((BLOCK, rows, width), dtype=np.bool_)
    for i in range(0, slow, BLOCK):
        for j in range(0, middle, rows):
            slab = view[:, i : i + BLOCK, j : j + rows]
            if slab.shape[1:3] != (BLOCK, rows):
                scratch.fill(False)
            first = j // BLOCK
            yield (i // BLOCK, slice(first, first + -(-slab.shape[2] // BLOCK))), slab, scratch


def _count_blocks(
    mass: Mass, slab: Array, scratch: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint16]:
    _, thick, rows, width = slab.shape
    mass.fill(slab, scratch[:thick, :rows, :width])
    # 64 voxels fit a byte, 512 need two: each stage adds in the least that holds its sum.
    columns = np.add.reduce(scratch.view(np.uint8), axis=0, dtype=np.uint8)
    bands = np.add.reduce(columns.reshape(-1, BLOCK, columns.shape[1]), axis=1, dtype=np.uint8)
    pieces = bands.reshape(len(bands), -1, BLOCK)
    counts: npt.NDArray[np.uint16] = np.add.reduce(pieces, axis=2, dtype=np.uint16)
    return counts[: -(-rows // BLOCK)]


def _in_range(voxels: Voxels, index: BlockIndex, part: Box) -> BlockIndex:
    """Return the index, or one of scaled weights where sums overflow or shares of them round."""
    mass = index.mass
    if not isinstance(mass, Weights):
        return index
    with np.errstate(over="ignore"):
        total = index.total
    if np.isfinite(total):
        if total == 0 or total >= _LEAST_TOTAL or mass.scale != 1.0:
            return index
        return _scaled(voxels, mass, 2.0**128, part)
    boxes = (box for boxes in parts_of(voxels, part, BLOCK) for box in boxes)
    most = max(read_part(voxels, box).max() for box in boxes)
    if mass.scale != 1.0 or not np.isfinite(most):
        raise ProbabilityError(
            f"weights are 0 or more, and finite; {mass.name} holds {most}: clip it, or "
            "replace what is infinite, before sampling"
        )
    return _scaled(voxels, mass, 2.0**-64, part)


def _scaled(voxels: Voxels, mass: Weights, scale: float, part: Box) -> BlockIndex:
    (index,) = index_part(voxels, [replace(mass, scale=scale)], part)
    return index
