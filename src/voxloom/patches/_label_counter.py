"""Counting many labels at once: the cost does not grow with their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom.io import Array

_FEW: Final = 16  # comparing with each label in turn is faster up to about here
_WIDEST: Final = 2**16


@final
class LabelCounter:
    """Counts the voxels of each label in the blocks of a slab.

    Parameters
    ----------
    labels : sequence of int
        Different labels, not more than 2**16 apart.
    block : int
        Length of a block along each axis, in voxels.

    Examples
    --------
    >>> counter = LabelCounter([7, -1], block=2)
    >>> counter.count(np.array([[[7, 7, 7, 0], [-1, 3, 7, 7]]])).tolist()
    [[[2, 3]], [[1, 0]]]
    """

    def __init__(self, labels: Sequence[int], block: int) -> None:
        self._block = block
        self._below = min(labels) - 1
        self._above = max(labels) + 1
        self._number = len(labels)
        # One code a label, and a last one for all other values, which are clipped to the ends.
        self._codes = np.full(self._above - self._below + 1, self._number, dtype=np.int64)
        self._codes[np.array(labels) - self._below] = np.arange(self._number)

    @staticmethod
    def pays(labels: Sequence[int], dtype: np.dtype[Any]) -> bool:
        """Whether counting these labels together is possible, and faster than one by one."""
        if len(labels) <= _FEW or dtype.kind not in "iub" or dtype == np.uint64:
            return False
        return max(labels) - min(labels) < _WIDEST

    def count(self, slab: Array) -> npt.NDArray[np.int64]:
        """Return the counts, ``(labels, rows, columns)`` of blocks, of a slab one block thick.

        Parameters
        ----------
        slab : (at most block, R, F) array of integers
            Voxels.
        """
        _, height, width = slab.shape
        rows, columns = -(-height // self._block), -(-width // self._block)
        values = slab.astype(np.int64).clip(self._below, self._above)
        values -= self._below
        places = self._codes[values]
        places += self._first_bins(height, width, columns)
        bins = rows * columns * (self._number + 1)
        counts = np.bincount(places.ravel(), minlength=bins)
        return counts.reshape(rows, columns, -1).transpose(2, 0, 1)[:-1]

    def _first_bins(self, height: int, width: int, columns: int) -> npt.NDArray[np.int64]:
        row = np.arange(height)[:, None] // self._block
        return (row * columns + np.arange(width) // self._block) * (self._number + 1)
