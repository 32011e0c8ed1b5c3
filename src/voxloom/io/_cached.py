"""A volume that lies in a cache, which may lose it at any time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, final

import numpy.typing as npt

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io._nifti import NiftiSource
from voxloom.io._prepared import read_stored_arrays
from voxloom.io._source import Array, VolumeSource


@final
class CachedSource(VolumeSource):
    """Reads a copy that is fast to read, and the original where the copy is gone.

    The copy's file is mapped at once, so that a cache that removes it in the middle of an epoch
    takes nothing away from whoever has it open. Pickled, it opens the file again, or reads the
    original.

    Parameters
    ----------
    copy : VolumeSource
        The same voxels in a file of its own.
    original : VolumeSource
        What it is a copy of: its shape, type and space are those of this source.
    index : path-like, optional
        The ``.npz`` with sums over blocks, for `stored_arrays`.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> from voxloom.io import ArraySource, NiftiSource, write_nifti
    >>> original = ArraySource(np.ones((1, 4, 5, 6), np.int16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     copy = NiftiSource(write_nifti(f"{folder}/copy.nii", original.array))
    ...     source = CachedSource(copy, original)
    >>> int(source.read(Box((0, 0, 0), (2, 2, 2))).sum())  # its folder is gone
    8
    """

    reads_regions = True

    def __init__(
        self,
        copy: VolumeSource,
        original: VolumeSource,
        index: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path = original.path
        self.shape, self.dtype, self.space = original.shape, original.dtype, original.space
        self.chunk_shape = copy.chunk_shape
        self._copy, self._original = copy, original
        self._index = None if index is None else os.fspath(index)
        self._mapped: Array | None = None
        self.hold()

    @property
    def copy_path(self) -> str | None:
        """The file that is read."""
        return self._copy.path

    def hold(self) -> None:
        """Map the file of the copy, which may then be removed.

        Raises
        ------
        VolumeReadError
            If it is gone already.
        """
        self._mapped = self._copy.read()

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all: a read-only view, or the original's."""
        if box is not None:
            self.check_box(box)
            if isinstance(self._copy, NiftiSource):
                self._copy.prefetch(box)
        try:
            if self._mapped is None:
                self.hold()
            voxels = self._copy.read(box)
        except VolumeReadError:
            if self._mapped is None:
                return self._original.read(box)
            voxels = self._mapped if box is None else self._mapped[(slice(None), *box.slices)]
        return voxels if voxels.dtype == self.dtype else voxels.view(self.dtype)

    def mapped(self) -> Array | None:
        """Return a view of the copy, if that lies as it is used."""
        if self._mapped is None:
            self.hold()
        voxels = self._copy.mapped()
        if voxels is None or voxels.dtype == self.dtype:
            return voxels
        return voxels.view(self.dtype)

    def prefetch(self, box: Box) -> None:
        """Ask for the pages of a box of the copy."""
        self._copy.prefetch(box)

    def release(self) -> None:
        """Let go of pages of the copy, if that is still there, and of its file until `hold`.

        A map holds a descriptor, of which a process has few.
        """
        with suppress(VolumeReadError):
            self._copy.release()
        self._mapped = None

    def stored_arrays(self, *names: str) -> Mapping[str, npt.NDArray[Any]]:
        """Return parts of the index beside the copy, if it is there. See `PreparedSource`."""
        if self._index is None:
            return {}
        try:
            return read_stored_arrays(self._index, names)
        except VolumeReadError:
            return {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_mapped": None}
