"""Memory of batches, used again once the trainer has let go of a batch."""

from __future__ import annotations

import math
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt
import torch

Bytes = npt.NDArray[np.uint8]

_SPARE_BATCHES: Final = 2
_ALIGNMENT: Final = 64


@final
class BatchMemory:
    """Gives out tensors whose memory comes back when the last view of it is gone.

    Fresh memory costs more than what is copied into it: the system clears each page when it is
    first touched, which takes about as long as two copies. A trainer that keeps batches gets
    fresh memory for the next ones.

    Examples
    --------
    >>> memory = BatchMemory()
    >>> first = memory.empty((2, 3), np.dtype(np.int16))
    >>> place = first.data_ptr()
    >>> del first
    >>> memory.empty((2, 3), np.dtype(np.int16)).data_ptr() == place
    True
    """

    def __init__(self) -> None:
        self._spare: dict[int, list[Bytes]] = {}

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> torch.Tensor:
        """Return a tensor of this shape that holds anything."""
        size = math.prod(shape) * dtype.itemsize
        spare = self._spare.setdefault(size, [])
        try:
            memory = spare.pop()
        except IndexError:
            memory = _aligned(size)
        array = np.asarray(_Lease(memory, spare))
        return torch.from_numpy(array.view(dtype).reshape(shape))


class _Lease:
    """Owns memory while an array looks at it, and gives it back then."""

    def __init__(self, memory: Bytes, spare: list[Bytes]) -> None:
        self._memory, self._spare = memory, spare
        self.__array_interface__ = memory.__array_interface__

    def __del__(self) -> None:
        if len(self._spare) < _SPARE_BATCHES:
            self._spare.append(self._memory)


def _aligned(size: int) -> Bytes:
    memory = np.empty(size + _ALIGNMENT, dtype=np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + size]
