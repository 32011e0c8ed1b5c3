"""TIFF, OME-TIFF and ImageJ stacks, read through tifffile; mapped where they lie plain."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom._extras import import_extra
from voxloom.geometry import Affine, Box
from voxloom.io._failures import damaged, reading
from voxloom.io._lengths import millimetres_in
from voxloom.io._library import decoding, space_in, stamp_of
from voxloom.io._mapping import map_voxels
from voxloom.io._shapes import check_numbers
from voxloom.io._source import Array, Shape4, VolumeSource

_SPATIAL: Final = "XYZ"
_DEPTHS: Final = "ZIQ"
_SIGNS_OF_LOSS: Final = ("invalid page offset", "missing data")
_MOST_BYTES_PER_BYTE: Final = 20_000
"""No codec of TIFF that is in use for voxels packs more tightly than this."""


@final
class TiffSource(VolumeSource):
    """The first series of a TIFF file, with axes X, Y, Z as W, H, D; others are channels.

    Distances come from OME metadata, from ImageJ's, or from the resolution tags; where there
    are none, voxels are 1 mm. TIFF does not know where a patient lies: the affine is scale
    only, as if the axes were right, anterior, superior. Pages that are compressed are decoded
    one by one, only those that a box touches.

    Parameters
    ----------
    path : str or path-like
        The file.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    VolumeReadError
        If it is damaged or no volume.
    UnknownFormatError
        If the voxels are not plain numbers.
    MissingExtraError
        If tifffile is not installed.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imwrite(f"{folder}/stack.tif", np.zeros((6, 5, 7), dtype=np.uint16))
    ...     TiffSource(f"{folder}/stack.tif").shape
    (1, 7, 5, 6)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        stamp = stamp_of(self.path)
        with decoding(self.path, "tifffile"), _listening() as said, _open(self.path) as file:
            series = _first_series(file)
            lost = [text for text in said if any(sign in text.lower() for sign in _SIGNS_OF_LOSS)]
            if lost or (file.is_ome and None in series.pages):
                raise damaged(self.path, f"pages of it are missing, {'; '.join(lost)}")
            self._stored: tuple[int, ...] = tuple(int(n) for n in series.shape)
            self._axes = _axes(self.path, series.axes, self._stored)
            check_numbers(self.path, series.dtype)
            self._disk_dtype = np.dtype(series.dtype).newbyteorder(file.byteorder)
            offset = series.dataoffset  # a damaged one may be a fraction
            self._offset: int | None = None if offset is None else int(offset)
            spacing = _spacing(file)
        self.shape = _shape(self._axes, self._stored)
        self.dtype = self._disk_dtype.newbyteorder("=")
        self.space = space_in(self.path, self.shape[1:], _scale(spacing))
        self.reads_regions = self._offset is not None
        self._check_declared(stamp.file_bytes)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all; a read-only view where they are mapped."""
        if box is not None:
            self.check_box(box)
        box = box or Box((0, 0, 0), self.spatial_shape)
        w, h, d = box.slices
        if self._offset is None:
            stored, first = self._decode(d)
            d = slice(d.start - first, d.stop - first)
        else:
            stored = self._map(self._offset)
        voxels = self._ordered(stored)[:, w, h, d]
        if voxels.dtype.isnative and voxels.flags.aligned:
            return voxels
        return voxels.astype(self.dtype)

    def _ordered(self, stored: Array) -> Array:
        others = [n for n, axis in enumerate(self._axes) if axis not in _SPATIAL]
        spatial = [self._axes.index(axis) for axis in _SPATIAL if axis in self._axes]
        moved = stored.transpose(*others, *spatial)
        w, h, _ = self.spatial_shape
        return moved.reshape(self.shape[0], w, h, -1) if moved.ndim != 4 else moved

    def _map(self, offset: int) -> Array:
        with reading(self.path):
            file_bytes = Path(self.path).stat().st_size
        if offset + math.prod(self._stored) * self.dtype.itemsize > file_bytes:
            raise damaged(self.path, f"is too short for shape {self._stored} of {self.dtype}")
        return map_voxels(
            self.path,
            shape=self._stored[::-1],
            dtype=self._disk_dtype,
            offset=offset,
            file_bytes=file_bytes,
        ).T

    def _decode(self, slices: slice) -> tuple[Array, int]:
        """Return what is stored of some slices or of all, and the number of the first."""
        with decoding(self.path, "tifffile"), _open(self.path) as file:
            series = _first_series(file)
            _check_segments(self.path, series, file.filehandle.size)
            lead = len(self._axes) - series.keyframe.ndim  # axes of which a page has one place
            depth = self._axes.find("Z", 0, max(lead, 0))
            if depth < 0 or len(series.pages) != math.prod(self._stored[:lead]):
                return series.asarray(maxworkers=1).reshape(self._stored), 0
            numbers = np.arange(len(series.pages)).reshape(self._stored[:lead])
            wanted = numbers.take(range(slices.start, slices.stop), axis=depth)
            pages = file.asarray(key=wanted.ravel().tolist(), series=0, maxworkers=1)
            return pages.reshape(*wanted.shape, *self._stored[lead:]), slices.start

    def _check_declared(self, file_bytes: int) -> None:
        declared = math.prod(self._stored) * self.dtype.itemsize
        most = file_bytes if self._offset is not None else file_bytes * _MOST_BYTES_PER_BYTE
        if declared > most:
            raise damaged(
                self.path, f"declares {declared} bytes of voxels, the file has {file_bytes}"
            )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Give what tifffile says meanwhile: of pages that it cannot find it says so, and goes on."""
    said: list[str] = []
    listener = logging.Handler(logging.WARNING)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _open(path: str) -> Any:
    return import_extra("tifffile", "itk").TiffFile(path)


def _first_series(file: Any) -> Any:
    len(file.pages)  # finds pages that go round in a circle, which the next line would follow
    return file.series[0]


def _check_segments(path: str, series: Any, file_bytes: int) -> None:
    """Raise if a page has a segment larger than the file: memory for it would be taken first."""
    longest = max((max(page.databytecounts, default=0) for page in series if page), default=0)
    if longest > file_bytes:
        raise damaged(path, f"has a segment of {longest} bytes, the file has {file_bytes}")


def _axes(path: str, axes: str, shape: tuple[int, ...]) -> str:
    """Return one letter an axis, with the depth of a stack that is not named called Z."""
    if not shape or min(shape) < 1 or "X" not in axes or "Y" not in axes:
        raise VolumeReadError(f"{path}: expected axes X and Y, got {axes} of shape {shape}")
    if "Z" in axes:
        return axes
    for letter in _DEPTHS[1:]:
        if letter in axes:
            return axes.replace(letter, "Z", 1)
    return axes


def _shape(axes: str, stored: tuple[int, ...]) -> Shape4:
    lengths = dict(zip(axes, stored, strict=False))
    w, h, d = (lengths.get(axis, 1) for axis in _SPATIAL)
    return math.prod(stored) // (w * h * d), w, h, d


def _scale(spacing: tuple[float, float, float]) -> Affine:
    usable = [n if math.isfinite(n) and n > 0 else 1.0 for n in spacing]
    return np.diag([*usable, 1.0])


def _spacing(file: Any) -> tuple[float, float, float]:
    if file.is_ome:
        return _ome_spacing(file.ome_metadata)
    imagej = file.imagej_metadata or {}
    x, y = (_from_resolution(file.pages[0], tag, imagej) for tag in ("X", "Y"))
    unit = millimetres_in(imagej.get("unit"))
    depth = float(imagej["spacing"]) * unit if "spacing" in imagej else 1.0
    return x, y, depth


def _ome_spacing(text: str) -> tuple[float, float, float]:
    from xml.etree import ElementTree

    root = ElementTree.fromstring(text)
    pixels = next((node for node in root.iter() if node.tag.rpartition("}")[2] == "Pixels"), None)
    if pixels is None:
        return 1.0, 1.0, 1.0
    given = pixels.attrib
    x, y, z = (
        float(given[f"PhysicalSize{axis}"])
        * millimetres_in(given.get(f"PhysicalSize{axis}Unit", "µm"))
        if f"PhysicalSize{axis}" in given
        else 1.0
        for axis in _SPATIAL
    )
    return x, y, z


def _from_resolution(page: Any, axis: str, imagej: dict[str, Any]) -> float:
    tag = page.tags.get(f"{axis}Resolution")
    if tag is None or not tag.value[0]:
        return 1.0
    per_unit = tag.value[0] / tag.value[1]
    if imagej:
        return float(millimetres_in(imagej.get("unit")) / per_unit)
    unit = page.tags.get("ResolutionUnit")
    length = {2: 25.4, 3: 10.0}.get(1 if unit is None else int(unit.value))
    return 1.0 if length is None else length / per_unit
