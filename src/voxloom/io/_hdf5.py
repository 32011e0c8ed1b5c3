"""Volumes in HDF5 files, on disk and on remote stores, read by region through h5py."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import nullcontext
from functools import lru_cache
from itertools import product
from typing import Any, Final, final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom._extras import import_extra
from voxloom.geometry import Box
from voxloom.io._library import FileStamp, decoding, space_in
from voxloom.io._object_file import ObjectFile
from voxloom.io._object_store import stamp_when_opened, stamp_when_read
from voxloom.io._remote import is_url
from voxloom.io._shapes import check_numbers, chunk_of, four_axes
from voxloom.io._source import Array, VolumeSource

_OPEN_FILES: Final = 32
_MOST_SHOWN: Final = 8
_MOST_CHUNK_BYTES: Final = 2**31


@final
class Hdf5Source(VolumeSource):
    """A data set ``(W, H)``, ``(W, H, D)`` or ``(C, W, H, D)`` in an HDF5 file.

    HDF5 has no place for an affine. Where the data set, or else the file, has an attribute
    ``affine``, 4x4, RAS+, mm, it is used; otherwise the space is the identity.

    Parameters
    ----------
    path : str or path-like
        The file, or a URL beginning with ``s3://``, ``gs://``, ``https://`` or ``http://``, for
        which obstore finds the credentials.
    name : str, optional
        The data set, such as ``"images/t1"``; by default the only one that can be a volume.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it is damaged, or has no such data set, or several and none was named.
    UnknownFormatError
        If the elements are not plain numbers.
    MissingExtraError
        If h5py, or obstore for a URL, is not installed.

    Examples
    --------
    >>> import h5py, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with h5py.File(f"{folder}/t1.h5", "w") as file:
    ...         file["t1"] = np.zeros((4, 5, 6), dtype=np.int16)
    ...     Hdf5Source(f"{folder}/t1.h5").shape
    (1, 4, 5, 6)
    """

    reads_regions = True

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.path: str = os.fspath(path)
        self._stamp = stamp_when_opened(self.path)
        with decoding(self.path, "h5py"):
            file, _ = _open(self.path, self._stamp)
            self.name = name or _only_volume(self.path, file)
            stored = _data_set(self.path, file, self.name)
            self._axes = len(stored.shape)
            check_numbers(self.path, stored.dtype)
            self.shape = four_axes(self.path, tuple(int(n) for n in stored.shape))
            self.dtype = stored.dtype.newbyteorder("=")
            affine = stored.attrs.get("affine", file.attrs.get("affine"))
            _check_chunk(self.path, stored)
            self.chunk_shape = chunk_of(stored.chunks)
        self.space = space_in(self.path, self.shape[1:], np.eye(4) if affine is None else affine)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, C-contiguous."""
        if box is not None:
            self.check_box(box)
        box = box or Box((0, 0, 0), self.spatial_shape)
        places = {2: box.slices[:2], 3: box.slices, 4: (slice(None), *box.slices)}[self._axes]
        with decoding(self.path, "h5py"):
            file, remote = _open(self.path, stamp_when_read(self.path, self._stamp))
            stored = _data_set(self.path, file, self.name)
            with nullcontext() if remote is None else remote.fetched(_chunk_spans(stored, places)):
                voxels = np.asarray(stored[places]).reshape(self.shape[0], *box.size)
        return voxels.astype(self.dtype, copy=False)


@lru_cache(maxsize=_OPEN_FILES)
def _open(path: str, stamp: FileStamp) -> tuple[Any, ObjectFile | None]:
    """Return an open file, and what it is read through where it lies on a store."""
    h5py = import_extra("h5py", "zarr")
    if is_url(path):
        remote = ObjectFile(path, stamp.file_bytes)
        return h5py.File(remote, "r"), remote
    # Those who read do not lock: many workers, and trainers on other machines, read one file.
    return h5py.File(path, "r", locking=False), None


# HDF5 closes its files when the process ends, and would call back into an interpreter that is gone.
atexit.register(_open.cache_clear)


def _chunk_spans(stored: Any, places: tuple[slice, ...]) -> Iterator[tuple[int, int]]:
    """Yield where the chunks lie that a box touches: first byte, and number of bytes."""
    if stored.chunks is None:
        return
    ranges = [
        range(place.indices(n)[0] // chunk * chunk, place.indices(n)[1], chunk)
        for place, n, chunk in zip(places, stored.shape, stored.chunks, strict=True)
    ]
    for corner in product(*ranges):
        chunk = stored.id.get_chunk_info_by_coord(corner)
        if chunk.byte_offset is not None:
            yield chunk.byte_offset, chunk.size


def _data_set(path: str, file: Any, name: str) -> Any:
    found = file.get(name)
    if not hasattr(found, "dtype"):
        raise VolumeReadError(
            f"{path}: there is no data set {name!r} in it, it has {_listed(_volumes(file))}"
        )
    return found


def _only_volume(path: str, file: Any) -> str:
    names = _volumes(file)
    if len(names) == 1:
        return names[0]
    if not names:
        raise VolumeReadError(
            f"{path}: expected a data set of numbers with 2 to 4 axes, there is none in it"
        )
    raise VolumeReadError(
        f"{path}: it holds several volumes, {_listed(names)}; choose one with "
        f"Image.from_source(Hdf5Source(path, {names[0]!r}))"
    )


def _volumes(file: Any) -> list[str]:
    names: list[str] = []

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "keys"):
            len(item)
        elif hasattr(item, "dtype") and item.dtype.kind in "biuf" and len(item.shape) in (2, 3, 4):
            names.append(name)

    # Counting raises where a group is damaged; the library's own walk would never end in some.
    len(file)
    file.visititems(visit)
    return names


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:_MOST_SHOWN]) or "none"
    return f"{shown}, ..." if len(names) > _MOST_SHOWN else shown


def _check_chunk(path: str, stored: Any) -> None:
    chunk_bytes = int(np.prod(stored.chunks or (), dtype=object)) * stored.dtype.itemsize
    if chunk_bytes > _MOST_CHUNK_BYTES:
        raise VolumeReadError(
            f"{path}: one chunk of {stored.name!r} has {chunk_bytes} bytes, reading a voxel would "
            "take them all; store it in smaller chunks"
        )
