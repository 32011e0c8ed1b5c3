"""Writing NIfTI a few slices at a time: for volumes that memory does not hold."""

from __future__ import annotations

import math
import os
import secrets
from pathlib import Path
from typing import final

import numpy as np
import numpy.typing as npt

from voxloom._errors import UnknownFormatError
from voxloom.geometry import as_affine
from voxloom.io._source import Array, Shape4
from voxloom.io._write import nifti_header


@final
class NiftiSlabWriter:
    """An uncompressed NIfTI file that is written slab by slab across its last spatial axis.

    Such slabs lie together in the file, one piece a channel, so that each byte is written
    once. The file appears under its name when `finish` is called.

    Parameters
    ----------
    path : str or path-like
        Ends with ``.nii``.
    shape : (C, W, H, D) tuple of int
        Shape of the whole volume.
    dtype : dtype
        Type of the voxels.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm.

    Raises
    ------
    UnknownFormatError
        If the suffix is another, or NIfTI has no such type.

    Examples
    --------
    >>> import tempfile
    >>> from voxloom.io import open_volume
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = NiftiSlabWriter(f"{folder}/a.nii", (1, 4, 4, 4), np.float32)
    ...     for first in (0, 2):
    ...         writer.write(first, np.full((1, 4, 4, 2), first, dtype=np.float32))
    ...     open_volume(writer.finish()).read()[0, 0, 0].tolist()
    [0.0, 0.0, 2.0, 2.0]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        shape: Shape4,
        dtype: npt.DTypeLike,
        affine: npt.ArrayLike | None = None,
    ) -> None:
        self._target = Path(path)
        if self._target.suffix.lower() != ".nii":
            raise UnknownFormatError(
                f"{path}: slabs are written to .nii; write_nifti writes .nii.gz from memory"
            )
        self._shape, self._dtype = shape, np.dtype(dtype).newbyteorder("<")
        unfinished = f".{self._target.name}.{secrets.token_hex(4)}.unfinished"
        self._path = self._target.with_name(unfinished)
        header = nifti_header(str(path), self._dtype, shape, as_affine(affine))
        self._offset = len(header)
        self._file = self._path.open("xb")
        self._file.write(header)
        self._file.truncate(self._offset + math.prod(shape) * self._dtype.itemsize)

    def write(self, first: int, slab: Array) -> None:
        """Write the slices from `first` on; `slab` is ``(C, W, H, n)``."""
        _, w, h, d = self._shape
        for channel, part in enumerate(slab):
            place = (channel * d + first) * w * h * self._dtype.itemsize
            self._file.seek(self._offset + place)
            self._file.write(part.astype(self._dtype, copy=False).T.tobytes())

    def finish(self) -> str:
        """Give the file its name, and return it."""
        self._file.close()
        self._path.replace(self._target)
        return str(self._target)

    def abandon(self) -> None:
        """Remove what was written, if it is not finished."""
        self._file.close()
        self._path.unlink(missing_ok=True)
