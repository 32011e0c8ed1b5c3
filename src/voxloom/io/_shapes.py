"""Which arrays are volumes, and the four axes they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.geometry import Shape3
from voxloom.io._source import Shape4


def four_axes(where: str, shape: tuple[int, ...]) -> Shape4:
    """Return ``(C, W, H, D)`` for a shape ``(W, H)``, ``(W, H, D)`` or ``(C, W, H, D)``.

    Parameters
    ----------
    where : str
        What has this shape, for messages.
    shape : tuple of int
        Its shape.

    Raises
    ------
    VolumeReadError
        If it is none of these, or has an empty axis.

    Examples
    --------
    >>> four_axes("slice.npy", (5, 6)), four_axes("t1.npy", (4, 5, 6))
    ((1, 5, 6, 1), (1, 4, 5, 6))
    """
    if len(shape) not in (2, 3, 4) or min(shape) < 1:
        raise VolumeReadError(
            f"{where}: expected an array (W, H), (W, H, D) or (C, W, H, D) without empty axes, "
            f"got shape {shape}"
        )
    if len(shape) == 4:
        return shape[0], shape[1], shape[2], shape[3]
    w, h, d = (*shape, 1)[:3]
    return 1, w, h, d


def check_numbers(where: str, dtype: np.dtype[Any]) -> None:
    """Raise unless the type is a plain number of at most 64 bits.

    Raises
    ------
    UnknownFormatError
        For complex numbers, objects, text, records.
    """
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise UnknownFormatError(
            f"{where}: expected booleans, integers or floats of at most 64 bits, "
            f"got {dtype}; convert it first"
        )


def chunk_of(chunks: Sequence[int] | None) -> Shape3 | None:
    """Return the spatial lengths ``(w, h, d)`` of the chunks of an array with these axes, or None.

    Examples
    --------
    >>> chunk_of((1, 64, 64, 32)), chunk_of((64, 64))
    ((64, 64, 32), (64, 64, 1))
    """
    if not chunks:
        return None
    w, h, d = (*map(int, chunks[-3:] if len(chunks) == 4 else chunks), 1)[:3]
    return w, h, d
