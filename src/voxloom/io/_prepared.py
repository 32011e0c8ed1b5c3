"""Volumes of a prepared store: in our memory order, with their sampling index beside them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from voxloom.geometry import Box
from voxloom.io._failures import damaged, reading
from voxloom.io._library import FileStamp, decoding, space_in, stamp_of
from voxloom.io._nifti import NiftiSource
from voxloom.io._prefetch import spend_trust
from voxloom.io._source import Array, VolumeSource
from voxloom.io._write import write_nifti
from voxloom.io._zarr import ZarrSource

_CACHED_INDICES: Final = 64
_REVERSED: Final = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])


@final
class PreparedSource(VolumeSource):
    """A volume that `voxloom.prepare` wrote.

    A NIfTI file of the store has its axes reversed and the affine to match: any viewer shows it
    where it belongs, and its file order is C order of ``(C, W, H, D)``, in which patches are cut
    without turning. This source turns the axes back.

    Parameters
    ----------
    path : str or path-like
        The volume, ``.nii`` or ``.zarr``.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm, in full precision; by default what the file says.
    dtype : numpy.dtype, optional
        Type of the voxels where the file has no name for it: bool, stored as uint8.
    index : str or path-like, optional
        The ``.npz`` with sums over blocks, for `stored_arrays`.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it is damaged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_reversed(f"{folder}/t1.nii", np.ones((1, 4, 5, 6), np.int16), np.eye(4))
    ...     source = PreparedSource(path)
    ...     patch = source.read(Box((0, 0, 0), (2, 3, 4)))
    >>> source.shape, patch.shape, patch.strides[-1]
    ((1, 4, 5, 6), (1, 2, 3, 4), 2)
    """

    reads_regions = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        affine: npt.ArrayLike | None = None,
        dtype: npt.DTypeLike | None = None,
        index: str | os.PathLike[str] | None = None,
    ) -> None:
        self.path: str = os.fspath(path)
        self.index = None if index is None else os.fspath(index)
        self._stored = _open(self.path)
        self._is_reversed = isinstance(self._stored, NiftiSource)
        channels, *lengths = self._stored.shape
        w, h, d = lengths[::-1] if self._is_reversed else lengths
        self.shape = (channels, w, h, d)
        self.dtype = self._stored.dtype if dtype is None else np.dtype(dtype)
        if self.dtype.itemsize != self._stored.dtype.itemsize:
            raise damaged(self.path, f"holds {self._stored.dtype}, expected {self.dtype}")
        self.chunk_shape = self._stored.chunk_shape
        turned = self._stored.affine @ _REVERSED if self._is_reversed else self._stored.affine
        self.space = space_in(self.path, (w, h, d), turned if affine is None else affine)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all; of a NIfTI file a read-only view, C order."""
        if box is not None:
            self.check_box(box)
            self.prefetch(box)
        if self._is_reversed:
            turned = None if box is None else _turned(box)
            voxels = self._stored.read(turned).transpose(0, 3, 2, 1)
        else:
            voxels = self._stored.read(box)
        return voxels.view(self.dtype) if voxels.dtype != self.dtype else voxels

    def mapped(self) -> Array | None:
        """Return a view of a NIfTI file of the store, C order."""
        stored = self._stored.mapped()
        if stored is None or not self._is_reversed:
            return None
        voxels = stored.transpose(0, 3, 2, 1)
        return voxels.view(self.dtype) if voxels.dtype != self.dtype else voxels

    def prefetch(self, box: Box) -> None:
        """Ask for the pages of a box of a NIfTI file."""
        if self._is_reversed and not spend_trust(self.path):
            self._stored.prefetch(_turned(box))

    def bring_in(self) -> None:
        """Read a NIfTI file of the store into memory at once."""
        self._stored.bring_in()

    def release(self) -> None:
        """Let go of pages of the stored volume."""
        self._stored.release()

    def stored_arrays(self, *names: str) -> Mapping[str, npt.NDArray[Any]]:
        """Return parts of the index that is kept beside the volume: those that are there.

        Raises
        ------
        VolumeReadError
            If the index is damaged.
        """
        return {} if self.index is None else read_stored_arrays(self.index, names)


def write_reversed(path: str | os.PathLike[str], array: Array, affine: npt.ArrayLike) -> str:
    """Write a volume as NIfTI with its axes reversed, so that file order is C order.

    Parameters
    ----------
    path : str or path-like
        Ends with ``.nii``.
    array : (C, W, H, D) array
        The voxels; C-contiguous ones are written without a copy.
    affine : (4, 4) array
        Voxel indices to world, RAS+, mm, of the array as it is given.

    Returns
    -------
    str
        The path.
    """
    return write_nifti(path, *reversed_axes(array, affine))


def reversed_axes(array: Array, affine: npt.ArrayLike) -> tuple[Array, npt.NDArray[np.float64]]:
    """Return a view with its spatial axes reversed, and the affine to match."""
    return array.transpose(0, 3, 2, 1), np.asarray(affine) @ _REVERSED


def read_stored_arrays(index: str, names: tuple[str, ...]) -> Mapping[str, npt.NDArray[Any]]:
    """Return parts of an ``.npz`` beside a volume. See `PreparedSource.stored_arrays`."""
    return _read_arrays(index, names, stamp_of(index))


def _turned(box: Box) -> Box:
    return Box(box.index_ini[::-1], box.index_fin[::-1])


def _open(path: str) -> NiftiSource | ZarrSource:
    return ZarrSource(path) if path.endswith(".zarr") else NiftiSource(path)


@lru_cache(maxsize=_CACHED_INDICES)
def _read_arrays(
    path: str, names: tuple[str, ...], stamp: FileStamp
) -> Mapping[str, npt.NDArray[Any]]:
    with reading(path), decoding(path, "NumPy"), np.load(Path(path), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in names if name in stored}
    for array in arrays.values():
        array.setflags(write=False)
    return MappingProxyType(arrays)
