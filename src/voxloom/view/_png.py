"""Grey pictures as PNG, which needs no library: https://www.w3.org/TR/png-3/."""

from __future__ import annotations

import struct
import zlib
from typing import Final

import numpy as np

from voxloom.io import Array

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"


def encode_png(picture: Array) -> bytes:
    """Return a picture as PNG: 8 bits of grey, from its least value to its greatest.

    Parameters
    ----------
    picture : (rows, columns) array
        Of any dtype. What is not finite is black.

    Raises
    ------
    ValueError
        If it does not have two axes, or nothing on one of them.

    Examples
    --------
    >>> encode_png(np.eye(4))[1:4]
    b'PNG'
    """
    if picture.ndim != 2 or not picture.size:
        raise ValueError(f"a picture has rows and columns, got shape {picture.shape}")
    grey = _to_grey(picture)
    rows, columns = grey.shape
    lines = np.zeros((rows, columns + 1), dtype=np.uint8)  # each begins with its filter: none
    lines[:, 1:] = grey
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    voxels = zlib.compress(lines.tobytes(), level=1)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", voxels) + _chunk(b"IEND", b"")


def _to_grey(picture: Array) -> Array:
    values = picture.astype(np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        return np.zeros(picture.shape, dtype=np.uint8)
    low, high = values[finite].min(), values[finite].max()
    scaled = (np.where(finite, values, low) - low) * (255.0 / (high - low) if high > low else 0.0)
    return np.asarray(scaled.round(), dtype=np.uint8)


def _chunk(kind: bytes, content: bytes) -> bytes:
    length, check = len(content), zlib.crc32(kind + content)
    return struct.pack(">I", length) + kind + content + struct.pack(">I", check)
