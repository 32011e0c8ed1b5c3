"""Memory maps of uncompressed files: opened where they are read, never sent anywhere."""

from __future__ import annotations

import mmap
import os
import re
import sys
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom.io._failures import damaged, reading
from voxloom.io._source import Array

_MOST_MAPS: Final = 256
_POPULATE_READ: Final = 22  # MADV_POPULATE_READ, Linux 5.14


def _open_maps() -> int:
    """Return how many files stay mapped: each holds a descriptor, of which a process has few."""
    try:
        import resource
    except ModuleNotFoundError:  # there is none on Windows, where maps hold no descriptor
        return _MOST_MAPS
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST_MAPS if limit < 0 else min(_MOST_MAPS, limit // 4)


def map_voxels(
    path: str, *, shape: tuple[int, ...], dtype: np.dtype[Any], offset: int, file_bytes: int
) -> Array:
    """Return the voxels of a file as a read-only array, first axis fastest, nothing read yet.

    Parameters
    ----------
    path : str
        An uncompressed file.
    shape : tuple of int
        Number of elements along each axis, as they lie in the file.
    dtype : numpy.dtype
        Type of the elements in the file, byte order included.
    offset : int
        Bytes before the first voxel.
    file_bytes : int
        Size that the file had when its header was read.

    Raises
    ------
    VolumeReadError
        If the file has another size now: reading beyond its end would kill the process.
    """
    with reading(path):
        now = os.stat(path)  # noqa: PTH116  done for every patch: a Path costs more than the call
        if now.st_size != file_bytes:
            raise damaged(
                path, f"had {file_bytes} bytes when its header was read, has {now.st_size} now"
            )
        data = map_file(path, now.st_ino, now.st_size, now.st_mtime_ns)
    return np.ndarray(shape, dtype, buffer=data, offset=offset, order="F")


def bring_in_pages(voxels: Array) -> None:
    """Read a whole map into memory and map its pages, if the system can do that at once.

    Linux then reads pieces of 2 MiB, twice as fast as what it would read of its own accord, and
    where a filesystem can, as ext4 from Linux 6.16 on, keeps and maps each as one large page: each
    page that is touched costs a look-up, and rows of a patch lie a few to a page of 4 KiB.
    """
    if sys.platform != "linux":
        return
    mapped: Any = voxels.base
    if reads_large_pieces(os.uname().release):
        with suppress(OSError):  # a system without large pages
            mapped.madvise(mmap.MADV_HUGEPAGE)
            mapped.madvise(mmap.MADV_RANDOM)  # else what reading the header began goes on
    with suppress(OSError):  # an older system
        mapped.madvise(_POPULATE_READ)


def reads_large_pieces(release: str) -> bool:
    """Tell whether this Linux reads by large pages where they are asked for, as 5.18 began to.

    Asked to read at random, an older one would read page by page.

    Examples
    --------
    >>> [reads_large_pieces(release) for release in ("6.1.0-25-amd64", "5.15.0-91-generic", "next")]
    [True, False, False]
    """
    numbers = re.match(r"(\d+)\.(\d+)", release)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (5, 18)


def release_pages(voxels: Array) -> None:
    """Let a map have no pages in this process's memory until they are read again."""
    mapped: Any = voxels.base
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


@lru_cache(maxsize=_open_maps())
def map_file(path: str, inode: int, file_bytes: int, mtime_ns: int) -> mmap.mmap:
    """Return a map of a whole file, the same while the file is the same."""
    # The arguments after the path are there for the cache: a file that changed is mapped anew.
    with Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
