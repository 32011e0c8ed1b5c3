"""Sums over blocks, kept where there are some.

Each row of blocks along the last axis keeps its values from the first that is not zero to the
last. A map of a large volume, most of which is background, then takes what its structures take;
one that is full everywhere takes no more than a dense table.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, final

import numpy as np
import numpy.typing as npt

from voxloom.geometry import Box, Index3, Shape3

_PIECE: Final = 2**18  # values looked at together: a bound on memory, and few calls

Integers = npt.NDArray[np.signedinteger[Any]]


@final
@dataclass(frozen=True, slots=True, eq=False)
class BlockRows:
    """One number a block, most of which may be zero.

    Parameters
    ----------
    blocks : (X, Y, Z) tuple of int
        How many blocks there are along each axis.
    starts, stops : (X * Y,) int32, or int64 where there are more values
        Where the values of each row begin and end in `values`.
    firsts : (X * Y,) int32
        The place in its row of the first of them.
    values : (N,) array
        Sums over blocks, none below zero; those that are not in a row are zero.

    Examples
    --------
    >>> rows = BlockRows.of(np.array([[[0, 7, 0, 5, 0], [0, 0, 0, 0, 0]]]))
    >>> rows.values.tolist(), rows.dense()[0, 0].tolist()
    ([7, 0, 5], [0, 7, 0, 5, 0])
    >>> rows.cut(Box((0, 0, 2), (1, 2, 5))).dense()[0].tolist()
    [[0, 5, 0], [0, 0, 0]]
    """

    blocks: Shape3
    starts: Integers
    stops: Integers
    firsts: Integers
    values: npt.NDArray[Any]

    @classmethod
    def of(cls, sums: npt.NDArray[Any]) -> Self:
        """Return the rows of dense sums ``(X, Y, Z)``."""
        x, y, z = sums.shape
        return cls.packed((x, y, z), *_trim(sums.reshape(-1, z)))

    @classmethod
    def joined(cls, slabs: Sequence[Self]) -> Self:
        """Return the rows of slabs that follow each other along the first axis."""
        if len(slabs) == 1:
            return slabs[0]
        _, y, z = slabs[0].blocks
        return cls.packed(
            (sum(slab.blocks[0] for slab in slabs), y, z),
            np.concatenate([slab.lengths for slab in slabs]),
            np.concatenate([slab.firsts for slab in slabs]),
            np.concatenate([slab.values for slab in slabs]),
        )

    @classmethod
    def packed(
        cls, blocks: Shape3, lengths: Integers, firsts: Integers, values: npt.NDArray[Any]
    ) -> Self:
        """Return rows whose values lie one after the other.

        Raises
        ------
        ValueError
            If they are not those of so many blocks.
        """
        stops = np.cumsum(lengths, dtype=np.int64)
        x, y, z = blocks
        if lengths.shape != (x * y,) or firsts.shape != lengths.shape:
            raise ValueError(f"{x * y} rows of blocks were expected, there are {len(lengths)}")
        held = int(stops[-1])
        if values.shape != (held,) or (firsts.astype(np.int64) + lengths > z).any():
            raise ValueError(f"{held} blocks in rows of {z} were expected, got {values.shape}")
        places = np.int32 if held <= np.iinfo(np.int32).max else np.int64
        return cls(
            blocks,
            (stops - lengths).astype(places),
            stops.astype(places),
            firsts.astype(np.int32),
            values,
        )

    @property
    def lengths(self) -> Integers:
        """How many values each row has."""
        return self.stops - self.starts

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        arrays = (self.starts, self.stops, self.firsts, self.values)
        return sum(array.nbytes for array in arrays)

    def dense(self) -> npt.NDArray[Any]:
        """Return all sums, ``(X, Y, Z)``."""
        sums = np.zeros(self.blocks, self.values.dtype)
        for rows, starts, stops, values in self._spans():
            lengths = stops - starts
            places = np.repeat(rows, lengths), _runs(self.firsts[rows], lengths)
            sums.reshape(-1, self.blocks[2])[places] = _side_by_side(starts, stops, values)
        return sums

    def total(self, dtype: Any) -> Any:
        """Return the sum of all, added up in `dtype`."""
        if self._counts:
            return self._row_sums().sum(dtype=dtype).item()
        parts = (_side_by_side(*span) for _, *span in self._spans())
        return sum((values.sum(dtype=dtype).item() for values in parts), 0)

    def running(self, dtype: Any) -> npt.NDArray[Any]:
        """Return the running sum at the end of each row, one block added after the other."""
        if self._counts:
            return self._row_sums().cumsum(dtype=dtype)
        ends, before = np.zeros(len(self.starts), dtype), np.zeros(1, dtype)
        for rows, starts, stops, values in self._spans():
            held = _side_by_side(starts, stops, values)
            sums = np.concatenate([before, held]).cumsum(dtype=dtype)
            ends[rows] = sums[(stops - starts).cumsum()]
            before = sums[-1:]
        return np.maximum.accumulate(ends)  # an empty row ends where that before it does

    def row(self, number: int) -> tuple[int, npt.NDArray[Any]]:
        """Return the place of the first value of a row, and its values."""
        return int(self.firsts[number]), self.values[self.starts[number] : self.stops[number]]

    def occupied(self) -> Box | None:
        """Return the smallest box around the blocks that are not zero, or None."""
        ini, fin = [], []
        for rows, starts, stops, values in self._spans():
            there = np.flatnonzero(values != 0)
            first, after = there.searchsorted(starts), there.searchsorted(stops)
            held = np.flatnonzero(after > first)
            if len(held):
                x, y = np.divmod(rows[held], self.blocks[1])
                shift = self.firsts[rows[held]] - starts[held]
                low, high = there[first[held]] + shift, there[after[held] - 1] + shift
                ini.append([x.min(), y.min(), low.min()])
                fin.append([x.max() + 1, y.max() + 1, high.max() + 1])
        if not ini:
            return None
        (i, j, k), (w, h, d) = np.min(ini, axis=0).tolist(), np.max(fin, axis=0).tolist()
        return Box((i, j, k), (w, h, d))

    def cut(self, box: Box) -> Self:
        """Return the rows in a box of blocks; their values are shared, not copied."""
        x, y, z = box.slices
        starts, stops, firsts = (
            part.reshape(self.blocks[:2])[x, y].ravel()
            for part in (self.starts, self.stops, self.firsts)
        )
        ini = np.minimum(starts + (z.start - firsts).clip(min=0), stops)
        fin = np.minimum(starts + (z.stop - firsts).clip(min=0), stops)
        return type(self)(box.size, ini, fin, firsts.clip(min=z.start) - z.start, self.values)

    def embed(self, first: Index3, blocks: Shape3) -> Self:
        """Return the same values as part of a larger table, in which these begin at `first`."""
        x, y, z = first
        place = slice(x, x + self.blocks[0]), slice(y, y + self.blocks[1])
        tables = []
        for part, shift in ((self.starts, 0), (self.stops, 0), (self.firsts, z)):
            table = np.zeros(blocks[:2], part.dtype)
            table[place] = part.reshape(self.blocks[:2]) + shift
            tables.append(table.ravel())
        return type(self)(blocks, tables[0], tables[1], tables[2], self.values)

    @property
    def _counts(self) -> bool:
        """Whether the values are integers, whose sums are the same in any order."""
        return self.values.dtype.kind in "ui"

    def _row_sums(self) -> npt.NDArray[np.int64]:
        """Return the sum of each row, where the values are integers."""
        sums = np.zeros(len(self.starts), np.int64)
        for rows, starts, stops, values in self._spans():
            ends = np.stack([starts, stops], axis=1).ravel()[:-1]  # the last is that of the part
            sums[rows] = np.add.reduceat(values, ends, dtype=np.int64)[::2]
        return sums

    def _spans(self) -> Iterator[tuple[Integers, Integers, Integers, npt.NDArray[Any]]]:
        """Yield rows that have values, some at a time, with a part of the values as they lie.

        Of each row it says its number, and where it begins and ends in that part.
        """
        rows = np.flatnonzero(self.lengths)
        starts, stops = self.starts[rows], self.stops[rows]
        ini = 0
        while ini < len(rows):
            first = int(starts[ini])
            fin = max(int(stops.searchsorted(first + _PIECE, side="right")), ini + 1)
            values = self.values[first : int(stops[fin - 1])]
            yield rows[ini:fin], starts[ini:fin] - first, stops[ini:fin] - first, values
            ini = fin


def _side_by_side(starts: Integers, stops: Integers, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the values of some rows, one after the other: as they lie, unless rows were cut."""
    if (starts[1:] == stops[:-1]).all():
        return values
    held: npt.NDArray[Any] = values[_runs(starts, stops - starts)]
    return held


def _runs(begins: Integers, lengths: Integers) -> Integers:
    """Return the numbers of runs, one after the other: each from its begin on.

    Examples
    --------
    >>> _runs(np.array([7, 2]), np.array([3, 2])).tolist()
    [7, 8, 9, 2, 3]
    """
    shifts = np.repeat(begins - lengths.cumsum() + lengths, lengths)
    numbers: Integers = np.arange(len(shifts)) + shifts
    return numbers


def _trim(rows: npt.NDArray[Any]) -> tuple[Integers, Integers, npt.NDArray[Any]]:
    """Return how long each row is without the zeros at its ends, where it begins, and all that."""
    if rows.size and (rows[:, 0] != 0).all() and (rows[:, -1] != 0).all():
        lengths = np.full(len(rows), rows.shape[1], np.int64)
        return lengths, np.zeros(len(rows), np.int64), rows.reshape(-1)
    there = rows != 0
    held = there.any(axis=1)
    firsts = there.argmax(axis=1)
    stops = np.where(held, rows.shape[1] - there[:, ::-1].argmax(axis=1), 0)
    places = np.arange(rows.shape[1])
    inside = (places >= firsts[:, None]) & (places < stops[:, None])
    return np.where(held, stops - firsts, 0), firsts, rows[inside]
