"""Drawing centres: the block index restricted to the voxels that can hold a patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom._random import draw_word
from voxloom.geometry import Box, Index3, Shape3
from voxloom.patches._block_index import (
    BLOCK,
    BlockIndex,
    blocks_touched,
    exact_dtype,
    index_masses,
    pick,
)
from voxloom.patches._indexed_map import Voxels
from voxloom.patches._mass import Mass

_TRIES: Final = 64


@final
@dataclass(frozen=True, slots=True, eq=False)
class CentreTable:
    """Draws voxels of a map in exact proportion to their mass, within a box.

    Made by `centre_table`. A draw costs the same whatever the size of the map.

    Parameters
    ----------
    array : (C, W, H, D) array
        The map, or the part of it that matters.
    shift : (3,) tuple of int
        Where that part begins in the map.
    mass : Mass
        What a voxel counts for.
    valid : Box
        Where voxels may be drawn, counted in `array`; at least half of the mass of the blocks
        it touches lies in it.
    first : (3,) tuple of int
        The first block in the table.
    blocks : (3,) tuple of int
        How many blocks are in the table, along each axis.
    cumulative : (N,) int64 or float64
        Running sum over the masses of these blocks.
    """

    array: Voxels
    shift: Index3
    mass: Mass
    valid: Box
    first: Index3
    blocks: Shape3
    cumulative: npt.NDArray[Any]

    def draw(self, rng: np.random.Generator) -> Index3:
        """Return a voxel of the map. Takes raw words from `rng`, two a try."""
        for _ in range(_TRIES):
            i, j, k = self._draw_anywhere(rng)
            (a, b, c), (d, e, f) = self.valid.index_ini, self.valid.index_fin
            if a <= i < d and b <= j < e and c <= k < f:
                return i + self.shift[0], j + self.shift[1], k + self.shift[2]
        # As likely as drawing one given 64-bit word: no loop without end, and still exact.
        inside = _exact_table(self.array, self.mass, self.valid)
        assert inside is not None
        i, j, k = inside.draw(rng)
        return i + self.shift[0], j + self.shift[1], k + self.shift[2]

    def _draw_anywhere(self, rng: np.random.Generator) -> Index3:
        _, rows, columns = self.blocks
        number = pick(self.cumulative, draw_word(rng))
        rest, z = divmod(number, columns)
        x, y = divmod(rest, rows)
        i, j, k = (
            (block + first) * BLOCK for block, first in zip((x, y, z), self.first, strict=True)
        )
        masses = self.mass.of(self.array[:, i : i + BLOCK, j : j + BLOCK, k : k + BLOCK])
        _, height, depth = masses.shape
        running = masses.cumsum(dtype=self.cumulative.dtype)
        rest, z = divmod(pick(running, draw_word(rng)), depth)
        x, y = divmod(rest, height)
        return i + x, j + y, k + z


def centre_table(array: Voxels, index: BlockIndex, valid: Box) -> CentreTable | None:
    """Return what draws voxels of `valid`, or None where the map has no mass in it.

    Blocks that `valid` cuts are drawn with their whole mass, and what falls outside is drawn
    again. Where that would be more than half, the part inside is indexed anew.

    Parameters
    ----------
    array : (C, W, H, D) array
        The map.
    index : BlockIndex
        Its index.
    valid : Box
        Where voxels may be drawn. It lies in the map.

    Examples
    --------
    >>> from voxloom.patches._mass import Weights
    >>> weights = np.zeros((1, 40, 40, 40))
    >>> weights[0, 3, 30, 21] = 5
    >>> (index,) = index_masses(weights, [Weights()])
    >>> table = centre_table(weights, index, Box((2, 2, 2), (38, 38, 38)))
    >>> table.draw(np.random.default_rng(0))
    (3, 30, 21)
    >>> centre_table(weights, index, Box((4, 2, 2), (38, 38, 38))) is None
    True
    """
    region = _occupied(index.sums, valid)
    if region is None:
        return None
    touched, inner = blocks_touched(region), _blocks_inside(region, _spatial_shape(array))
    held = index.sums[touched.slices]
    safe = 0 if inner is None else index.sums[inner.slices].sum(dtype=np.float64)
    if safe * 2 < held.sum(dtype=np.float64):
        return _exact_table(array, index.mass, region)
    running = held.cumsum(dtype=exact_dtype(index.mass))
    return CentreTable(
        array, (0, 0, 0), index.mass, region, touched.index_ini, touched.size, running
    )


def _exact_table(array: Voxels, mass: Mass, region: Box) -> CentreTable | None:
    part = array[(slice(None), *region.slices)]
    (index,) = index_masses(part, [mass])
    if not index.sums.any():
        return None
    running = index.sums.cumsum(dtype=exact_dtype(mass))
    w, h, d = index.sums.shape
    whole = Box.at((0, 0, 0), region.size)
    # The scale of a weight that would overflow is the index's to choose.
    return CentreTable(part, region.index_ini, index.mass, whole, (0, 0, 0), (w, h, d), running)


def _occupied(sums: npt.NDArray[Any], valid: Box) -> Box | None:
    """Return the part of `valid` in the bounding box of the blocks that hold anything.

    A rare label then takes a small table, and few voxels to index anew.
    """
    touched = blocks_touched(valid)
    occupied = np.nonzero(sums[touched.slices])
    if not len(occupied[0]):
        return None
    ini, fin = [], []
    for axis, blocks in enumerate(occupied):
        first = touched.index_ini[axis]
        ini.append(max((int(blocks.min()) + first) * BLOCK, valid.index_ini[axis]))
        fin.append(min((int(blocks.max()) + 1 + first) * BLOCK, valid.index_fin[axis]))
    return Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2]))


def _blocks_inside(valid: Box, spatial_shape: Shape3) -> Box | None:
    """Return the blocks that lie wholly in `valid`; the last of an axis may be short."""
    ini = [-(-n // BLOCK) for n in valid.index_ini]
    fin = [
        -(-b // BLOCK) if b == n else b // BLOCK
        for b, n in zip(valid.index_fin, spatial_shape, strict=True)
    ]
    if any(a >= b for a, b in zip(ini, fin, strict=True)):
        return None
    return Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2]))


def _spatial_shape(array: Voxels) -> Shape3:
    _, w, h, d = array.shape
    return w, h, d
