"""Boxes of uncompressed files on network filesystems: one read a span, not one fault a page.

A memory map of a file on NFS or SMB asks the server for a page whenever the copy trips over
one, and kills the process where the server fails or the file is cut meanwhile. Reads name the
whole span, and fail with an error.
"""

from __future__ import annotations

import itertools
import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom.io._failures import damaged, reading
from voxloom.io._source import Array

_NETWORK: Final = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse"),
        *("fuse.glusterfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "gpfs"),
        *("lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs"),
    }
)
_MOUNTS: Final = "/proc/self/mountinfo"
_KNOWN_FOLDERS: Final = 4096


def is_on_network(path: str) -> bool:
    """Whether a file lies on a filesystem of another machine; False where that is not known."""
    if path.startswith("/"):
        return _is_network_folder(path.rpartition("/")[0] or "/")
    return _is_network_folder(str(Path(path).absolute().parent))


def read_spans(
    path: str,
    places: tuple[slice, ...],
    *,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    offset: int,
) -> Array:
    """Return a box of an uncompressed file, first axis fastest, by one read a plane.

    Parameters
    ----------
    path : str
        An uncompressed file.
    places : tuple of slice
        Bounds of the box along each axis, three axes or more.
    shape : tuple of int
        Number of elements along each axis, as they lie in the file, the first fastest.
    dtype : numpy.dtype
        Type of the elements in the file, byte order included.
    offset : int
        Bytes before the first element.

    Raises
    ------
    VolumeReadError
        If the file ends before the box does.
    """
    first, second, *others = places
    width = shape[0]
    rows = second.stop - second.start
    out = np.empty([p.stop - p.start for p in places], dtype, order="F")
    span = np.empty(rows * width, dtype)  # whole rows: the gaps between parts cost less than reads
    strides = [math.prod(shape[:axis]) for axis in range(2, len(shape))]
    with reading(path), Path(path).open("rb", buffering=0) as file:
        for index in itertools.product(*(range(p.start, p.stop) for p in others)):
            start = second.start * width + sum(n * s for n, s in zip(index, strides, strict=True))
            place = offset + start * dtype.itemsize
            if os.preadv(file.fileno(), [span.view(np.uint8).data], place) < span.nbytes:
                raise damaged(path, f"ends before byte {place + span.nbytes}")
            target = tuple(n - p.start for n, p in zip(index, others, strict=True))
            out[(slice(None), slice(None), *target)] = span.reshape(rows, width)[:, first].T
    return out


@lru_cache(maxsize=_KNOWN_FOLDERS)
def _is_network_folder(folder: str) -> bool:
    try:
        mounts = Path(_MOUNTS).read_text(encoding="utf-8", errors="surrogateescape")
        real = str(Path(folder).resolve())
    except OSError:
        return False
    found, kind = "", ""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4].replace("\\040", " ").rstrip("/")
        if len(point) >= len(found) and (real + "/").startswith(point + "/"):
            found, kind = point, after.split(" ")[0]
    return kind in _NETWORK
