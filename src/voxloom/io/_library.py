"""What a library of others raises over a file, said in our own errors with the file's name."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from voxloom._errors import GeometryError, VolumeReadError, VoxloomError
from voxloom.geometry import Shape3, Space
from voxloom.io._failures import damaged, reading
from voxloom.io._remote import is_url

_LONGEST_REASON: Final = 300
_FOR_ITS_AUTHORS: Final = "Debug source:"  # obstore repeats there what it has said, at length
_REMEDY: Final = "copy the file again, convert it, or pass reader="
_REMEDY_OF_URLS: Final = (
    "check the address, the network, and the credentials; what fails in passing was tried again"
)


class FileStamp(NamedTuple):
    """What tells one state of a file from the next, to key what was opened of it."""

    inode: int
    file_bytes: int
    mtime_ns: int
    process: int


@contextmanager
def decoding(path: str, library: str) -> Iterator[None]:
    """Turn whatever `library` raises while it reads `path` into errors that name the file.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        For anything else that is not already one of our errors.

    Examples
    --------
    >>> with decoding("scan.h5", "h5py"):
    ...     raise RuntimeError("bad object header")
    Traceback (most recent call last):
    voxloom._errors.VolumeReadError: scan.h5: h5py cannot read it, RuntimeError: bad object ...
    """
    with reading(path):
        try:
            yield
        except (VoxloomError, FileNotFoundError, MemoryError):
            raise
        except Exception as error:
            said, _, _ = str(error).partition(_FOR_ITS_AUTHORS)
            reason = " ".join(said.split())[:_LONGEST_REASON]
            remedy = _REMEDY_OF_URLS if is_url(path) else _REMEDY
            raise VolumeReadError(
                f"{path}: {library} cannot read it, {type(error).__name__}: {reason}; {remedy}"
            ) from error


def stamp_of(path: str) -> FileStamp:
    """Return the file's stamp; it changes when the file does, and differs between processes.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    """
    with reading(path):
        now = Path(path).stat()
    return FileStamp(now.st_ino, now.st_size, now.st_mtime_ns, os.getpid())


def space_in(path: str, spatial_shape: Shape3, affine: object) -> Space:
    """Return the space that a file describes.

    Raises
    ------
    VolumeReadError
        If its affine is none.
    """
    try:
        return Space(spatial_shape, affine)  # type: ignore[arg-type]
    except (GeometryError, TypeError, ValueError) as error:
        raise damaged(path, f"gives no usable affine, {error}") from error
