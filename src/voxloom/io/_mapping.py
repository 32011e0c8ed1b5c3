"""Memory maps of uncompressed files: opened where they are read, never sent anywhere."""

from __future__ import annotations

import mmap
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom.io._failures import damaged, reading
from voxloom.io._source import Array

_MOST_MAPS: Final = 256


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
