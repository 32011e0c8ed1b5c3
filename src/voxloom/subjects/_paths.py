"""The file or files of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any, final

from voxloom._errors import ImageError, VolumeNotFoundError
from voxloom.io import ChannelSource, VolumeSource, open_volume
from voxloom.io._remote import is_url, local_path
from voxloom.subjects._volume_files import explain_lost

AnyPath = str | PathLike[str]


@final
class Url(str):
    """Where a volume lies on a server: what `Path`, which joins double slashes, cannot hold.

    Examples
    --------
    >>> Url("s3://bucket/sub-01/t1.zarr").name
    't1.zarr'
    """

    __slots__ = ()

    @property
    def name(self) -> str:
        """What follows the last slash."""
        return self.rstrip("/").rpartition("/")[2]


OnePath = Path | Url
Paths = OnePath | tuple[OnePath, ...]
Reader = Callable[[Any], Any]


def as_paths(path: AnyPath | Sequence[AnyPath], *, verify: bool) -> Paths:
    """Return a path, or a tuple of paths for a sequence, with ``~`` resolved; URLs stay URLs.

    Raises
    ------
    ImageError
        If it is something else.
    VolumeNotFoundError
        If `verify` and there is no such file. Servers are not asked.

    Examples
    --------
    >>> as_paths(["t1.nii", "t2.nii"], verify=False)[1].name
    't2.nii'
    """
    if isinstance(path, str | PathLike):
        return _as_path(path, verify=verify)
    several: Any = path  # whatever the annotation says
    if not isinstance(several, Sequence) or not several:
        raise ImageError(f"a path is text, a path object or a list of them, got {path!r}")
    return tuple(_as_path(one, verify=verify) for one in several)


def text_of(path: Paths | None, show: Callable[[OnePath], str] = str) -> str | list[str]:
    """Return a path as text, several as a list, none as ``''``; `show` says how."""
    if path is None:
        return ""
    return [show(one) for one in path] if isinstance(path, tuple) else show(path)


def stem_of(path: OnePath) -> str:
    """Return the name of a file up to its first dot.

    Examples
    --------
    >>> stem_of(Path("data/sub-01_T1w.nii.gz"))
    'sub-01_T1w'
    """
    return path.name.split(".")[0]


def open_paths(path: Paths, reader: Reader | None = None) -> VolumeSource:
    """Open a file, or several as the channels of one volume; read headers only.

    The errors are those of `voxloom.io.open_volume`.
    """
    called = None if reader is None else PathReader(reader)
    if isinstance(path, tuple):
        return ChannelSource([open_volume(one, called) for one in path])
    return open_volume(path, called)


def as_reader(reader: Any) -> Reader | None:
    """Return a reader of the user, or None.

    Raises
    ------
    ImageError
        If it cannot be called.
    """
    if reader is None:
        return None
    if not callable(reader):
        raise ImageError(f"a reader is a function of a path, got {reader!r}")
    function: Reader = reader
    return function


@dataclass(frozen=True, slots=True)
class PathReader:
    """A reader of the user, which is called with a `Path`, or with text if that is a URL."""

    reader: Reader

    def __call__(self, path: str) -> Any:
        """Return ``(voxels, affine)``."""
        return self.reader(path_of(path))

    @property
    def __name__(self) -> str:
        """Name of the user's function, for messages."""
        return getattr(self.reader, "__name__", repr(self.reader))


def path_of(name: str | PathLike[str]) -> OnePath:
    """Return a URL as a `Url`, and anything else, ``file://`` too, as a `Path`."""
    local = local_path(fspath(name))
    return Url(local) if is_url(local) else Path(local)


def _as_path(path: Any, *, verify: bool) -> OnePath:
    if not isinstance(path, str | PathLike):
        raise ImageError(f"a path is text or a path object, got {path!r}")
    found = path_of(path)
    if isinstance(found, Url):
        return found
    file = found.expanduser()
    if verify and not file.exists():
        raise VolumeNotFoundError(
            f"there is no file {explain_lost(file) if file.is_symlink() else repr(str(file))}; "
            f"check the path, or pass verify_path=False if it will be there when it is read"
        )
    return file
