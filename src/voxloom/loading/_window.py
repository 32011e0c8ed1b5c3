"""Slots side by side without a copy: their pages are mapped a second time, one after the other."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

_MAP_FIXED: Final = 0x10
_MAP_POPULATE: Final = 0x8000
_FAILED: Final = ctypes.c_void_p(-1).value


def can_map(slot_bytes: int) -> bool:
    """Tell whether slots of this size can be mapped anywhere: on Linux, if they are whole pages."""
    return sys.platform == "linux" and slot_bytes > 0 and slot_bytes % mmap.PAGESIZE == 0


def map_side_by_side(fd: int, slots: Sequence[int], slot_bytes: int) -> npt.NDArray[np.uint8]:
    """Return the bytes of some slots of a file as one array ``(len(slots), slot_bytes)``.

    The memory stays valid as long as anything refers to it, whatever happens to the slots.

    Raises
    ------
    OSError
        If the system refuses, as with too many mappings.

    Examples
    --------
    >>> fd = os.memfd_create("slots")
    >>> _ = os.write(fd, b"a" * 4096 + b"b" * 4096)
    >>> map_side_by_side(fd, [1, 0], 4096)[:, 0].tobytes()
    b'ba'
    >>> os.close(fd)
    """
    region = mmap.mmap(-1, len(slots) * slot_bytes)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    for number, slot in enumerate(slots):
        _map_at(start + number * slot_bytes, slot_bytes, fd, slot * slot_bytes)
    return np.frombuffer(region, dtype=np.uint8).reshape(len(slots), slot_bytes)


def _map_at(address: int, size: int, fd: int, offset: int) -> None:
    flags = mmap.MAP_SHARED | _MAP_FIXED | _MAP_POPULATE
    mapped = _system_mmap()(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, fd, offset)
    if mapped == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"slots could not be mapped side by side: {os.strerror(error)}")


def _system_mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    ]  # fmt: skip
    return function
