"""What went wrong with a file, said in our own errors, always with its name."""

from __future__ import annotations

import gzip
import os
import zlib
from types import TracebackType
from typing import Final, cast

from isal import igzip_lib

from voxloom._errors import VolumeNotFoundError, VolumeReadError, VoxloomError

# isal's own annotations take its error for an instance.
_ISAL_ERROR = cast(type[Exception], igzip_lib.error)
DAMAGED: Final = (EOFError, gzip.BadGzipFile, zlib.error, _ISAL_ERROR)
"""What decoders of gzip raise over a damaged stream."""


class reading:  # noqa: N801  a class, as each patch enters several: a generator costs thrice that
    """Turn what the system and the decoder raise into errors that name `path`.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it cannot be read, or its compressed stream is damaged.

    Examples
    --------
    >>> with reading("brain.nii"):
    ...     raise EOFError("the stream ends early")
    Traceback (most recent call last):
    voxloom._errors.VolumeReadError: brain.nii: cannot be decoded, the stream ends early; ...
    """

    __slots__ = ("_path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, VoxloomError):
            return
        if isinstance(error, FileNotFoundError):
            raise VolumeNotFoundError(
                f"{error.filename or self._path}: there is no such file; check the path, "
                "and that the disk it lies on is mounted"
            ) from error
        if isinstance(error, DAMAGED):
            raise damaged(self._path, f"cannot be decoded, {_reason(error)}") from error
        if isinstance(error, OSError):
            raise VolumeReadError(f"{self._path}: cannot be read, {_reason(error)}") from error


def damaged(path: str | os.PathLike[str], what: str) -> VolumeReadError:
    """Return the error for a file that is there but is not what it says it is."""
    return VolumeReadError(f"{path}: {what}; the file is damaged or incomplete, copy it again")


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return text.rstrip(".")
