"""Parts of a file as memory without a copy: side by side, or for one's own changes."""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import sys
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Runs = tuple[tuple[int, int], ...]
"""Parts of some bytes: where each begins and ends."""

POPULATE_WRITE: Final = 23  # MADV_POPULATE_WRITE, Linux 5.14

_REMOVE: Final = 9  # MADV_REMOVE
_MOST_ZEROS: Final = 32  # runs in a volume: a worker may have a thousand volumes mapped
_LEAST_ZEROS: Final = 4 * mmap.PAGESIZE
_MAP_FIXED: Final = 0x10
_MAP_POPULATE: Final = 0x8000
_FAILED: Final = ctypes.c_void_p(-1).value
_MOST_PARTS: Final = 16384  # of the 65,530 mappings that the system allows a process


def round_up(size: int, step: int) -> int:
    """Return the least multiple of `step` that is not less."""
    return -(-size // step) * step


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
        _map_at(start + number * size, size, fd, offset, _MAP_POPULATE | mmap.MAP_SHARED)
    return np.frombuffer(region, dtype=np.uint8).reshape(len(offsets), size)


def map_privately(fd: int, offset: int, size: int, zeros: Runs = ()) -> Bytes:
    """Return a part of a file: what is written into the array stays there.

    Unlike a map of Python's own it keeps no descriptor, of which a process has few. What is known
    to be `zeros` is not mapped: if it were, to read it would give the file pages of them.

    Raises
    ------
    OSError
        If the system refuses.

    Examples
    --------
    >>> fd = os.memfd_create("volumes")
    >>> _ = os.write(fd, b"a" * 5)
    >>> mine = map_privately(fd, 0, 5)
    >>> mine[:2] = 98
    >>> mine.tobytes(), os.pread(fd, 5, 0)
    (b'bbaaa', b'aaaaa')
    >>> os.close(fd)
    """
    region = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    start = ctypes.addressof(ctypes.c_char.from_buffer(region))
    inis, fins = [0, *(fin for _, fin in zeros)], [*(ini for ini, _ in zeros), size]
    for ini, fin in zip(inis, fins, strict=True):
        if fin > ini:
            _map_at(start + ini, fin - ini, fd, offset + ini, mmap.MAP_PRIVATE)
    return np.frombuffer(region, dtype=np.uint8)


def map_to_fill(fd: int, offset: int, size: int) -> Bytes:
    """Return a part of a file that is to be written, with all its memory.

    Had at once, memory costs less than page by page. The file is made longer, if need be.

    Raises
    ------
    OSError
        If there is not that much, or the system refuses.

    Examples
    --------
    >>> fd = os.memfd_create("volumes")
    >>> map_to_fill(fd, 4096, 2)[:] = 98
    >>> os.pread(fd, 2, 4096)
    b'bb'
    >>> os.close(fd)
    """
    os.posix_fallocate(fd, offset, size)
    region = mmap.mmap(fd, size, offset=offset)
    with suppress(OSError):  # an older system
        region.madvise(POPULATE_WRITE)
    return np.frombuffer(region, dtype=np.uint8)


def give_zeros_back(fd: int, offset: int, memory: Bytes) -> Runs:
    """Return where a part of a file holds nothing but zeros, whose memory the system gets back.

    Only long runs of whole pages count, and only some: each is one mapping more for
    `map_privately`. From the file they still read as zeros.

    Examples
    --------
    >>> fd = os.memfd_create("volumes")
    >>> memory = map_to_fill(fd, 0, 2**20)
    >>> memory[2**16] = 1
    >>> zeros = give_zeros_back(fd, 0, memory)
    >>> zeros, int(map_privately(fd, 0, 2**20, zeros).sum()), os.fstat(fd).st_blocks * 512
    (((0, 65536), (69632, 1048576)), 1, 4096)
    >>> os.close(fd)
    """
    pages = memory[: memory.size // mmap.PAGESIZE * mmap.PAGESIZE].reshape(-1, mmap.PAGESIZE)
    is_zero = ~pages.view(np.uint64).any(axis=1)
    edges = np.flatnonzero(np.diff(is_zero, prepend=False, append=False)) * mmap.PAGESIZE
    runs = sorted(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True), key=_length)
    given = []
    with suppress(OSError), mmap.mmap(fd, memory.size, offset=offset) as region:
        for ini, fin in runs[-_MOST_ZEROS:]:
            if fin - ini >= _LEAST_ZEROS:
                region.madvise(_REMOVE, ini, fin - ini)
                given.append((ini, fin))
    return tuple(sorted(given))


def _length(run: tuple[int, int]) -> int:
    return run[1] - run[0]


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


def _map_at(address: int, size: int, fd: int, offset: int, flags: int) -> None:
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    mapped = _system_mmap()(address, size, protection, flags | _MAP_FIXED, fd, offset)
    if mapped == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, f"shared memory could not be mapped: {os.strerror(error)}")


@functools.cache
def _system_mmap() -> Any:
    function = ctypes.CDLL(None, use_errno=True).mmap
    function.restype = ctypes.c_void_p
    function.argtypes = [
        ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    ]  # fmt: skip
    return function
