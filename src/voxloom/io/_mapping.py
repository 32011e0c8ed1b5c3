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

_OPEN_MAPS: Final = 256
"""Each map holds a file descriptor, of which a process often may have 1024."""


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
        data = _map_file(path, now.st_ino, now.st_size, now.st_mtime_ns)
    return np.ndarray(shape, dtype, buffer=data, offset=offset, order="F")


@lru_cache(maxsize=_OPEN_MAPS)
def _map_file(path: str, inode: int, file_bytes: int, mtime_ns: int) -> mmap.mmap:
    # The arguments after the path are there for the cache: a file that changed is mapped anew.
    with Path(path).open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
