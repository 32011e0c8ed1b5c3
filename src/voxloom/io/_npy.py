"""Volumes in NumPy's own format, memory mapped."""

from __future__ import annotations

import math
import os
import tokenize
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box, Space, as_affine
from voxloom.io._failures import damaged, reading
from voxloom.io._mapping import map_voxels
from voxloom.io._shapes import check_numbers, four_axes
from voxloom.io._source import Array, VolumeSource

_HEADER_READERS: Final = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_BAD_HEADER: Final = (ValueError, TypeError, KeyError, SyntaxError, tokenize.TokenError)


@final
class NpySource(VolumeSource):
    """An ``.npy`` file with axes ``(W, H)``, ``(W, H, D)`` or ``(C, W, H, D)``.

    The file has no affine: the space is the identity, one mm a voxel. Pickled objects are
    never loaded.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If the header is damaged, contradicts the file's size, or is not one of a volume.
    UnknownFormatError
        If the elements are not plain numbers.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/t1.npy", np.zeros((4, 5, 6), dtype=np.uint8))
    ...     NpySource(f"{folder}/t1.npy").shape
    (1, 4, 5, 6)
    """

    reads_regions = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        stored, self._fastest_first, self._disk_dtype, self._offset = _read_header(self.path)
        self.shape = four_axes(self.path, stored)
        check_numbers(self.path, self._disk_dtype)
        self.dtype = self._disk_dtype.newbyteorder("=")
        self.space = Space(self.shape[1:], as_affine(None))
        self._file_bytes = self._offset + math.prod(stored) * self.dtype.itemsize
        there = Path(self.path).stat().st_size
        if there != self._file_bytes:
            raise damaged(
                self.path,
                f"an array of shape {stored} and type {self.dtype} needs {self._file_bytes} "
                f"bytes, the file has {there}",
            )

    def read(self, box: Box | None = None) -> Array:
        """Return a read-only view of the voxels in `box`, or of all; a copy if byte-swapped."""
        if box is not None:
            self.check_box(box)
        voxels = self._map()
        if box is not None:
            voxels = voxels[(slice(None), *box.slices)]
        if voxels.dtype.isnative and voxels.flags.aligned:
            return voxels
        return voxels.astype(self.dtype)

    def _map(self) -> Array:
        shape = self.shape if self._fastest_first else self.shape[::-1]
        stored = map_voxels(
            self.path,
            shape=shape,
            dtype=self._disk_dtype,
            offset=self._offset,
            file_bytes=self._file_bytes,
        )
        return stored if self._fastest_first else stored.T


def _read_header(path: str) -> tuple[tuple[int, ...], bool, np.dtype[Any], int]:
    with reading(path), Path(path).open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            if version not in _HEADER_READERS:
                raise ValueError(f"version {version} is not known")
            shape, fastest_first, dtype = _HEADER_READERS[version](file)
        except _BAD_HEADER as error:
            raise VolumeReadError(
                f"{path}: expected the header of an .npy file, {error}; save it again with "
                "np.save, or pass reader="
            ) from error
        return shape, bool(fastest_first), dtype, file.tell()
