"""Blosc2 arrays, ``.b2nd``, read by region: the format that nnU-Net 2.6 and later prepare."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom._extras import import_extra
from voxloom.geometry import Box
from voxloom.io._blosc2_frame import (
    FIRST_BYTES,
    RemoteFrame,
    check_first_bytes,
    count_chunks,
)
from voxloom.io._failures import damaged, reading
from voxloom.io._library import FileStamp, decoding, space_in
from voxloom.io._object_file import ObjectFile
from voxloom.io._object_store import stamp_when_opened, stamp_when_read
from voxloom.io._remote import is_url
from voxloom.io._shapes import check_numbers, chunk_of, four_axes
from voxloom.io._source import Array, VolumeSource

_OPEN_FILES: Final = 32
_MOST_CHUNK_BYTES: Final = 2**31


@final
class Blosc2Source(VolumeSource):
    """A ``.b2nd`` array ``(W, H)``, ``(W, H, D)`` or ``(C, W, H, D)``, axes as stored.

    The file has no affine: where the array's variable-length metadata hold ``affine``, 4x4,
    RAS+, mm, it is used; otherwise the space is the identity. nnU-Net keeps the spacing in a
    pickle beside the file, which is never opened, and stores its axes from the slowest to the
    fastest of the original file: what was ``(x, y, z)`` is ``(z, y, x)`` here.

    Parameters
    ----------
    path : str or path-like
        The file, or a URL beginning with ``s3://``, ``gs://``, ``https://`` or ``http://``, for
        which obstore finds the credentials.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it is damaged or is no volume.
    UnknownFormatError
        If the elements are not plain numbers.
    MissingExtraError
        If blosc2, or obstore for a URL, is not installed.

    Examples
    --------
    >>> import blosc2, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = blosc2.asarray(np.ones((1, 4, 5, 6), "f4"), urlpath=f"{folder}/case.b2nd")
    ...     Blosc2Source(f"{folder}/case.b2nd").shape
    (1, 4, 5, 6)
    """

    reads_regions = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        if not is_url(self.path):
            _check_frame(self.path)
        self._stamp = stamp_when_opened(self.path)
        with decoding(self.path, "blosc2"):
            stored = _open(self.path, self._stamp)
            self._axes = len(stored.shape)
            check_numbers(self.path, stored.dtype)
            self.shape = four_axes(self.path, tuple(int(n) for n in stored.shape))
            self.dtype = stored.dtype.newbyteorder("=")
            self.chunk_shape = chunk_of(stored.chunks)
            affine = _affine_of(stored)
        self.space = space_in(self.path, self.shape[1:], affine)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, C-contiguous."""
        if box is not None:
            self.check_box(box)
        box = box or Box((0, 0, 0), self.spatial_shape)
        places = {2: box.slices[:2], 3: box.slices, 4: (slice(None), *box.slices)}[self._axes]
        with decoding(self.path, "blosc2"):
            voxels = np.asarray(_open(self.path, stamp_when_read(self.path, self._stamp))[places])
        return voxels.reshape(self.shape[0], *box.size).astype(self.dtype, copy=False)


def _affine_of(stored: Any) -> Any:
    if isinstance(stored, RemoteFrame):
        return stored.value("affine", np.eye(4))
    metadata = stored.schunk.vlmeta
    return metadata["affine"] if "affine" in metadata else np.eye(4)


@lru_cache(maxsize=_OPEN_FILES)
def _open(path: str, stamp: FileStamp) -> Any:
    # The binding holds the interpreter's lock: more than one thread a file only takes cores
    # from the other workers.
    blosc2 = import_extra("blosc2", "zarr")
    stored: Any
    if is_url(path):
        stored = RemoteFrame(blosc2, ObjectFile(path, stamp.file_bytes))
    else:
        stored = blosc2.open(path, mode="r", dparams={"nthreads": 1})
    if not isinstance(stored, blosc2.NDArray | RemoteFrame):
        raise VolumeReadError(f"{path}: expected an array, it holds a {type(stored).__name__}")
    if isinstance(stored, blosc2.NDArray):
        count = math.prod(count_chunks(stored.shape, stored.chunks))
        if count != stored.schunk.nchunks:
            raise damaged(
                path, f"shape {stored.shape} needs {count} chunks, it has {stored.schunk.nchunks}"
            )
        is_delta = blosc2.Filter.DELTA in stored.schunk.cparams.filters
    else:
        is_delta = blosc2.Filter.DELTA.value in stored.filters
    if is_delta:
        raise VolumeReadError(
            f"{path}: its chunks went through the filter DELTA, after which blosc2 gives other "
            "numbers than were stored; write it again without"
        )
    chunk_bytes = int(np.prod(stored.chunks, dtype=object)) * stored.dtype.itemsize
    if chunk_bytes > _MOST_CHUNK_BYTES:
        raise VolumeReadError(
            f"{path}: one chunk has {chunk_bytes} bytes, reading a voxel would take them all; "
            "store it in smaller chunks"
        )
    return stored


def _check_frame(path: str) -> None:
    """Raise unless the file is a whole frame: the library reads past the end of a cut one."""
    with reading(path):
        there = Path(path).stat().st_size
        with Path(path).open("rb") as file:
            first = file.read(FIRST_BYTES)
    check_first_bytes(path, first, there)
