"""Drawing centres: the block index restricted to the voxels that can hold a patch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom._random import bounded, draw_word
from voxloom.geometry import Box, Index3, Shape3
from voxloom.patches._block_index import (
    BLOCK,
    BlockIndex,
    blocks_touched,
    exact_dtype,
    index_part,
    pick,
    pick_block,
)
from voxloom.patches._block_rows import BlockRows
from voxloom.patches._mass import Mass
from voxloom.patches._voxels import Voxels, read_part

_TRIES: Final = 64


@final
@dataclass(frozen=True, slots=True, eq=False)
class CentreTable:
    """Draws voxels of a map in exact proportion to their mass, within a box.

    Made by `centre_table`. A draw costs the same whatever the size of the map.

    Parameters
    ----------
    voxels : Voxels
        The map.
    part : Box
        The part of it whose blocks are counted: the first begins where it does.
    mass : Mass
        What a voxel counts for.
    valid : Box
        Where voxels may be drawn; at least half of the mass in the table lies in it.
    first : (3,) tuple of int
        The first block in the table.
    rows : BlockRows
        The masses of the blocks in the table.
    cumulative : (N,) int64 or float64
        Running sum over these, at the end of each row.
    """

    voxels: Voxels
    part: Box
    mass: Mass
    valid: Box
    first: Index3
    rows: BlockRows
    cumulative: npt.NDArray[Any]

    def draw(self, rng: np.random.Generator) -> Index3:
        """Return a voxel of the map. Takes raw words from `rng`, two a try."""
        for _ in range(_TRIES):
            i, j, k = self._draw_anywhere(rng)
            (a, b, c), (d, e, f) = self.valid.index_ini, self.valid.index_fin
            if a <= i < d and b <= j < e and c <= k < f:
                return i, j, k
        # As likely as drawing one given 64-bit word: no loop without end, and still exact.
        inside = _exact_table(self.voxels, self.mass, self.valid)
        assert inside is not None
        return inside.draw(rng)

    def _draw_anywhere(self, rng: np.random.Generator) -> Index3:
        a, b, c = pick_block(self.rows, self.cumulative, draw_word(rng))
        (i, j, k), (x, y, z) = self.part.index_ini, self.first  # every draw comes here: no loops
        i, j, k = i + (a + x) * BLOCK, j + (b + y) * BLOCK, k + (c + z) * BLOCK
        w, h, d = self.part.index_fin
        block = Box((i, j, k), (min(i + BLOCK, w), min(j + BLOCK, h), min(k + BLOCK, d)))
        masses = self.mass.of(read_part(self.voxels, block))
        _, height, depth = masses.shape
        rest, z = divmod(_pick_voxel(masses, draw_word(rng)), depth)
        x, y = divmod(rest, height)
        return i + x, j + y, k + z


def _pick_voxel(masses: npt.NDArray[Any], word: int) -> int:
    """Return the place in the flattened masses of a block that a 64-bit word chooses."""
    if masses.dtype != np.bool_:
        return pick(masses.cumsum(), word)
    places = masses.reshape(-1).nonzero()[0]  # the same place, found in half the time
    return int(places[bounded(word, len(places))])


def centre_table(voxels: Voxels, index: BlockIndex, valid: Box) -> CentreTable | None:
    """Return what draws voxels of `valid`, or None where the map has no mass in it.

    Blocks that `valid` cuts are drawn with their whole mass, and what falls outside is drawn
    again. Where that would be more than half, the part inside is indexed anew.

    Parameters
    ----------
    voxels : Voxels
        The map.
    index : BlockIndex
        Its index.
    valid : Box
        Where voxels may be drawn. It lies in the map.

    Examples
    --------
    >>> from voxloom.patches._block_index import index_masses
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
    touched = blocks_touched(valid)
    held = index.rows.cut(touched)
    occupied = held.occupied()
    if occupied is None:
        return None
    # A rare label then takes a small table, and few voxels to index anew.
    region = _region(occupied, touched.index_ini, valid)
    held = held.cut(occupied)
    _, w, h, d = voxels.shape
    inner = _blocks_inside(region, (w, h, d))
    safe = 0 if inner is None else index.rows.cut(inner).total(np.float64)
    running = held.running(exact_dtype(index.mass))
    if safe * 2 < running[-1]:
        return _exact_table(voxels, index.mass, region)
    first = blocks_touched(region).index_ini
    return CentreTable(voxels, Box((0, 0, 0), (w, h, d)), index.mass, region, first, held, running)


def _exact_table(voxels: Voxels, mass: Mass, region: Box) -> CentreTable | None:
    (index,) = index_part(voxels, [mass], region)
    rows = index.rows
    if rows.occupied() is None:
        return None
    running = rows.running(exact_dtype(mass))
    # The scale of a weight that would overflow is the index's to choose.
    return CentreTable(voxels, region, index.mass, region, (0, 0, 0), rows, running)


def _region(occupied: Box, first: Index3, valid: Box) -> Box:
    """Return the voxels of `valid` in a box of blocks that is counted from block `first`."""
    ini = [
        max((a + b) * BLOCK, n)
        for a, b, n in zip(occupied.index_ini, first, valid.index_ini, strict=True)
    ]
    fin = [
        min((a + b) * BLOCK, n)
        for a, b, n in zip(occupied.index_fin, first, valid.index_fin, strict=True)
    ]
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
