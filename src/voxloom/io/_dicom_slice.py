"""Slices of DICOM files that lie as plain numbers, read by the rows that a box touches.

What is read so is what ITK gives, voxel for voxel; where that is not certain, ITK decodes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom.io._dicom_elements import find_pixels
from voxloom.io._dicom_frames import frame_scaling
from voxloom.io._failures import damaged, reading
from voxloom.io._itk import ItkHeader
from voxloom.io._source import Array
from voxloom.io._spans import read_spans

PLAIN_TAGS: Final = (
    *("0008|0016", "0028|0002", "0028|0004", "0028|0100", "0028|0101", "0028|0102", "0028|0103"),
    *("0028|1053", "0028|1052"),
)
"""What `plain_slice` asks of a file: class, samples, colours, bits, sign, slope, intercept."""

_CLASSES: Final = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture",
    "1.2.840.10008.5.1.4.1.1.128": "PET",
}
"""Classes of images whose slope and intercept ITK takes from these tags, and from no other."""

_ENHANCED: Final = {
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",
    "1.2.840.10008.5.1.4.1.1.130": "PET",
}
"""Classes of images whose slope and intercept ITK takes from the groups of their frames."""

_LARGEST_EXACT: Final = 2.0**53


@dataclass(frozen=True, slots=True)
class PlainSlice:
    """Where the voxels of a file lie, and what is made of them.

    Attributes
    ----------
    shape : (w, h, d) tuple of int
        Lengths of the axes, the first fastest; several slices are frames.
    stored_dtype : numpy.dtype
        Type of the voxels in the file, byte order included.
    dtype : numpy.dtype
        Type that ITK gives them.
    unused_bits : int
        Bits above the voxel's own, in which anything may lie.
    scaling : (float, float) or None
        Slope and intercept, where there is anything to scale.
    offset, file_bytes : int
        Bytes before the voxels, and of the file.
    """

    shape: tuple[int, int, int]
    stored_dtype: np.dtype[Any]
    dtype: np.dtype[Any]
    unused_bits: int
    scaling: tuple[float, float] | None
    offset: int
    file_bytes: int

    def read(self, path: str, places: tuple[slice, ...]) -> Array:
        """Return a box ``(w, h, d)`` of the file's voxels, as ITK would give them.

        Raises
        ------
        VolumeReadError
            If the file has another size now, or cannot be read.
        """
        with reading(path):
            now = Path(path).stat().st_size
        if now != self.file_bytes:
            raise damaged(
                path, f"had {self.file_bytes} bytes when its header was read, has {now} now"
            )
        stored = read_spans(
            path, places, shape=self.shape, dtype=self.stored_dtype, offset=self.offset
        )
        if self.unused_bits:
            stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
            stored = (stored << self.unused_bits) >> self.unused_bits
        return self._scale(stored)

    def _scale(self, stored: Array) -> Array:
        scaled = stored.astype(self.dtype, copy=False)
        if self.scaling is None:
            return scaled
        slope, inter = np.float64(self.scaling[0]), np.float64(self.scaling[1])
        if self.dtype.kind != "f":  # whole numbers, all results fit: a detour wraps and comes back
            slope, inter = (n.astype(np.int64).astype(self.dtype) for n in (slope, inter))
        scaled = scaled * slope
        scaled += inter
        return scaled


def plain_slice(path: str, header: ItkHeader, tags: Sequence[str]) -> PlainSlice | None:
    """Return how the voxels of a file are read without decoding it; None if ITK must.

    Parameters
    ----------
    path : str
        A DICOM file.
    header : ItkHeader
        What ITK says of it.
    tags : sequence of str
        Values of `PLAIN_TAGS`, empty where the file has none.

    Raises
    ------
    VolumeReadError
        If the file has fewer voxels than its header says.
    """
    kind, samples, colours, *numbers = (tag.strip("\0 ") for tag in tags)
    bits = [int(n) if n.isdecimal() else -1 for n in numbers[:4]]
    is_grey = (samples, colours) == ("1", "MONOCHROME2")
    native = _stored_dtype(*bits)
    if kind not in (*_CLASSES, *_ENHANCED) or not is_grey or header.shape[0] != 1:
        return None
    if native is None or (pixels := find_pixels(path)) is None:
        return None
    needed = math.prod(header.shape) * native.itemsize
    if pixels.pixel_bytes < needed:  # before ITK takes the header's word
        raise damaged(
            path, f"the header says {needed} bytes of voxels, the file has {pixels.pixel_bytes}"
        )
    texts: tuple[str, ...] | None = tuple(numbers[4:])
    if kind in _ENHANCED:
        texts = None if any(numbers[4:]) else frame_scaling(path, pixels, header.shape[3])
    scaling = _scaling(*texts) if texts else None
    if scaling is None:
        return None
    is_identity = scaling == (1, 0)
    if (
        pixels.pixel_bytes != needed + needed % 2
        or (pixels.byte_order == ">" and native.itemsize == 1)  # bytes lie swapped in words there
        or (is_identity and header.dtype != native)
        or (header.dtype.kind != "f" and not _holds_all(header.dtype, bits[1], bits[3], scaling))
    ):
        return None
    return PlainSlice(
        shape=header.shape[1:],
        stored_dtype=native.newbyteorder(pixels.byte_order),
        dtype=header.dtype,
        unused_bits=bits[0] - bits[1],
        scaling=None if is_identity else scaling,
        offset=pixels.offset,
        file_bytes=pixels.file_bytes,
    )


def _holds_all(
    dtype: np.dtype[Any], stored: int, signed: int, scaling: tuple[float, float]
) -> bool:
    """Whether a type holds all results, and they are whole: else ITK does not scale by these."""
    least = -(1 << (stored - 1)) if signed else 0
    ends = [n * scaling[0] + scaling[1] for n in (least, least + (1 << stored) - 1)]
    limits = np.iinfo(dtype)
    is_whole = all(n.is_integer() for n in scaling)
    return is_whole and limits.min <= min(ends) and max(ends) <= limits.max


def _stored_dtype(allocated: int, stored: int, highest: int, signed: int) -> np.dtype[Any] | None:
    is_whole = allocated == stored if allocated == 8 else 1 <= stored <= allocated
    if allocated not in (8, 16) or not is_whole or highest != stored - 1 or signed not in (0, 1):
        return None
    return np.dtype(f"{'i' if signed else 'u'}{allocated // 8}")


def _scaling(slope: str, inter: str) -> tuple[float, float] | None:
    """Return slope and intercept; None where it is not certain what ITK makes of them."""
    try:
        numbers = float(slope or 1), float(inter or 0)
    except ValueError:
        return None
    is_usual = all(abs(n) < _LARGEST_EXACT for n in numbers)
    return numbers if is_usual and numbers[0] != 0 else None
