"""Parts of a file side by side without a copy: their pages are mapped one after the other."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]

_MAP_FIXED: Final = 0x10
_MAP_POPULATE: Final = 0x8000
_FAILED: Final = ctypes.c_void_p(-1).value
_MOST_PARTS: Final = 16384  # of the 65,530 mappings that the system allows a process


def can_map(size: int) -> bool:
    """Tell whether parts of this size can be mapped anywhere: on Linux, if they are whole pages."""
    return sys.platform == "linux" and size > 0 and size % mmap.PAGESIZE == 0


def map_side_by_side(fd: int, offsets: Sequence[int], size: int) -> Bytes:
    """Return parts of a file, of `size` bytes each, as one array ``(len(offsets), size)``.

    The memory stays valid as long as anything refers to it, whatever happens to the file.

    Raises
    ------
    OSError
        If the system refuses, as with too many mappings.

    Examples
    --------
    >>> fd = os.memfd_create("slots")
    >>> _ = os.write(fd, b"a" * 4096 + b"b" * 4096)
    >>> map_side_by_side(fd, [4096, 0], 4096)[:, 0].tobytes()
    b'ba'
    >>> os.close(fd)
    """
    region = mmap.mmap(-1, len(offsets) * size)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for number, offset in enumerate(offsets):
        _map_at(start + number * size, size, fd, offset)
    return np.frombuffer(region, dtype=np.uint8).reshape(len(offsets), size)


class Windows:
    """Windows on a file that are kept: making one costs as much as copying a third of it.

    Where slots are given back in the order in which they were taken, the same ones come side by
    side again and again.

    Parameters
    ----------
    fd : int
        The file.
    most_parts : int
        So many parts are kept in windows, but no more than a quarter of what the system allows.
    """

    def __init__(self, fd: int, most_parts: int) -> None:
        self._fd = fd
        self._most_parts = min(most_parts, _MOST_PARTS)
        self._kept: OrderedDict[tuple[int, ...], Bytes] = OrderedDict()
        self._parts = 0

    def get(self, offsets: Sequence[int], size: int) -> Bytes:
        """Return parts of the file as one array ``(len(offsets), size)``.

        Raises
        ------
        OSError
            If the system refuses.
        """
        key = size, *offsets
        window = self._kept.pop(key, None)
        if window is None:
            window = map_side_by_side(self._fd, offsets, size)
            self._parts += len(offsets)
        self._kept[key] = window
        while self._parts > self._most_parts and len(self._kept) > 1:
            (_, *oldest), _ = self._kept.popitem(last=False)
            self._parts -= len(oldest)
        return window


def _map_at(address: int, size: int, fd: int, offset: int) -> None:
    flags = mmap.MAP_SHARED | _MAP_FIXED | _MAP_POPULATE
    mapped = _system_mmap()(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, offset)
    if mapped == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"slots could not be mapped side by side: {os.strerror(error)}")


@functools.cache
def _system_mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    ]  # fmt: skip
    return function
