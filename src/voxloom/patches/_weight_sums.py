"""Adding weights up over blocks: a voxel is read from memory once, and converted as it is added."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom.io import Array
from voxloom.patches._mass import Weights

_PIECE_BYTES: Final = 2**20  # stays in the cache from check to sum; threads meet seldom
_FEW_CHANNELS: Final = 32


def sum_weights(mass: Weights, view: Array, sums: npt.NDArray[np.float64], block: int) -> None:
    """Write the sums over the blocks of a map into a table.

    Parameters
    ----------
    mass : Weights
        Which weights.
    view : (C, A, B, D) array
        The map, its slowest spatial axis in memory first.
    sums : (A', B', D') array
        One number a block.
    block : int
        Length of a block along each axis, in voxels.

    Raises
    ------
    ProbabilityError
        If a weight is negative or NaN.

    Examples
    --------
    >>> sums = np.zeros((1, 1, 2))
    >>> sum_weights(Weights(), np.ones((1, 2, 2, 3)), sums, block=2)
    >>> sums.tolist()
    [[[8.0, 4.0]]]
    """
    _, slow, middle, fast = view.shape
    width, dtype = sums.shape[2] * block, _dtype_of_sums(view)
    rows = max(_PIECE_BYTES // view[:, :block, :block].nbytes, 1) * block
    columns = np.zeros((min(rows, sums.shape[1] * block), width), dtype)
    bands = np.zeros((sums.shape[1], width), dtype)
    for i in range(0, slow, block):
        for j in range(0, middle, rows):
            piece = view[:, i : i + block, j : j + rows]
            height = piece.shape[2]
            _sum_columns(mass, piece, columns[:height, :fast])
            columns[height:] = 0
            some = columns[: -(-height // block) * block].reshape(-1, block, width)
            first = j // block
            np.add.reduce(some, axis=1, dtype=dtype, out=bands[first : first + len(some)])
        sums[i // block] = np.add.reduce(bands.reshape(len(bands), -1, block), axis=2, dtype=dtype)


def _sum_columns(mass: Weights, piece: Array, out: npt.NDArray[Any]) -> None:
    """Check the weights of a piece, and write their sums along its slowest axis."""
    mass.check(piece)
    if mass.scale != 1.0:
        piece = piece * mass.scale
    np.add.reduce(piece[0], axis=0, dtype=out.dtype, out=out)
    for channel in piece[1:]:
        out += np.add.reduce(channel, axis=0, dtype=out.dtype)


def _dtype_of_sums(view: Array) -> type[np.float64 | np.int32]:
    """Return in what to add up: small integers as such, which is faster and as exact."""
    small = view.dtype.kind in "bui" and view.dtype.itemsize <= 2 and len(view) <= _FEW_CHANNELS
    return np.int32 if small else np.float64
