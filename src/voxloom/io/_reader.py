"""Volumes that only the user knows how to read."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import Any, final

import numpy as np

from voxloom._errors import GeometryError, VolumeNotFoundError, VolumeReadError, VoxloomError
from voxloom.geometry import Box
from voxloom.io._shapes import check_numbers, four_axes
from voxloom.io._source import Array, ArraySource, VolumeSource

Reader = Callable[[str], Any]
"""Takes a path, returns ``(voxels, affine)``: arrays, tensors or what NumPy makes arrays of."""


@final
class ReaderSource(VolumeSource):
    """A file read by a function of the user.

    There is no header to read first, so that opening calls the reader once, and every
    `read` calls it again: nothing is kept between.

    Parameters
    ----------
    path : str or path-like
        What the reader is called with, as a str.
    reader : callable
        ``reader(path)`` gives voxels and affine. Voxels are an array or tensor ``(W, H)``,
        ``(W, H, D)`` or ``(C, W, H, D)``; three axes of which the first or the last has length
        3 are a slice in colours, ``(3, W, H)`` or ``(W, H, 3)``, as TorchIO takes them: give
        four axes to be sure. The affine is 4x4, RAS+, mm, or None. A module's function can be
        sent to workers, a lambda only to threads.

    Raises
    ------
    VolumeNotFoundError
        If the reader raises FileNotFoundError.
    VolumeReadError
        If the reader raises anything else, or gives something else.
    UnknownFormatError
        If the voxels are not plain numbers.

    Examples
    --------
    >>> source = ReaderSource("any", lambda path: (np.zeros((4, 5, 6)), np.eye(4)))
    >>> source.shape
    (1, 4, 5, 6)
    """

    reads_regions = False

    def __init__(self, path: str | os.PathLike[str], reader: Reader) -> None:
        self.path: str = os.fspath(path)
        self.reader = reader
        opened = self._call()
        self.shape = opened.shape
        self.dtype = opened.dtype
        self.space = opened.space

    def read(self, box: Box | None = None) -> Array:
        """Call the reader, and return the voxels in `box`, or all."""
        if box is not None:
            self.check_box(box)
        now = self._call()
        if (now.shape, now.dtype) != (self.shape, self.dtype):
            raise VolumeReadError(
                f"{self.path}: the reader gave shape {self.shape} and type {self.dtype} when it "
                f"was opened, and {now.shape} and {now.dtype} now; it must give the same each time"
            )
        return now.read(box)

    def _call(self) -> ArraySource:
        where = f"{self.path}: the reader {getattr(self.reader, '__name__', self.reader)}"
        voxels, affine = _result(where, self.reader, self.path)
        check_numbers(where, voxels.dtype)
        voxels = _colours_first(where, voxels)
        shape = four_axes(where, voxels.shape)
        voxels = voxels.astype(voxels.dtype.newbyteorder("="), copy=False).reshape(shape)
        try:
            return ArraySource(voxels, affine, self.path)
        except GeometryError as error:
            raise VolumeReadError(f"{where} gave an affine that is none, {error}") from error


def _result(where: str, reader: Reader, path: str) -> tuple[Array, Array | None]:
    try:
        result = reader(path)
    except VoxloomError:
        raise
    except FileNotFoundError as error:
        raise VolumeNotFoundError(f"{where} found no such file, {error}") from error
    except Exception as error:
        raise VolumeReadError(f"{where} failed, {type(error).__name__}: {error}") from error
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise VolumeReadError(
            f"{where} must return (voxels, affine), it returned {type(result).__name__}; "
            "without an affine of its own, return (voxels, None)"
        )
    voxels, affine = result
    return _as_array(where, voxels), None if affine is None else _as_array(where, affine)


def _colours_first(where: str, voxels: Array) -> Array:
    if voxels.ndim != 3 or 3 not in (voxels.shape[0], voxels.shape[-1]):
        return voxels
    warnings.warn(
        f"{where} gave shape {voxels.shape}, which is taken as a slice in three colours; return "
        "(C, W, H, D) to say what it is, voxels[None] for a volume of three slices",
        stacklevel=2,
    )
    slices = np.moveaxis(voxels, -1, 0) if voxels.shape[-1] == 3 else voxels
    return slices[..., None]


def _as_array(where: str, values: Any) -> Array:
    if hasattr(values, "detach"):  # a tensor, without importing torch to know
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise VolumeReadError(
            f"{where} returned {type(values).__name__}, expected an array or a tensor that NumPy "
            f"has a type for, {error}"
        ) from error
