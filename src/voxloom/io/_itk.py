"""Volumes that ITK reads: NRRD, MetaImage and others, mapped where they lie unencoded."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import UnknownFormatError
from voxloom._extras import import_extra
from voxloom.geometry import Affine, Box
from voxloom.io._failures import damaged, reading
from voxloom.io._gzip import MOST_BYTES_PER_BYTE
from voxloom.io._inflate import inflate
from voxloom.io._library import decoding, space_in
from voxloom.io._mapping import map_voxels
from voxloom.io._raw_layout import StoredVoxels, read_layout
from voxloom.io._source import Array, Shape4, VolumeSource

_PIXELS: Final = {
    "UInt8": "u1",
    "Int8": "i1",
    "UInt16": "u2",
    "Int16": "i2",
    "UInt32": "u4",
    "Int32": "i4",
    "UInt64": "u8",
    "Int64": "i8",
    "Float32": "f4",
    "Float64": "f8",
}
_LPS_TO_RAS: Final = np.diag([-1.0, -1.0, 1.0, 1.0])
_MAPPED: Final = (".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass(frozen=True, slots=True)
class ItkHeader:
    """What ITK says of a file: ``(C, W, H, D)``, type, and affine, RAS+, in the file's unit."""

    shape: Shape4
    dtype: np.dtype[Any]
    affine: Affine
    components: int
    tags: tuple[str, ...] = ()

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Lengths of the axes as they lie, the first fastest: components, W, H, D, more."""
        channels, w, h, d = self.shape
        return self.components, w, h, d, channels // self.components


def read_itk_header(path: str, tags: tuple[str, ...] = ()) -> ItkHeader:
    """Return the header of a file as ITK reads it; its voxels are not read.

    Axes after the third, and the components of a voxel, are channels. The values of `tags`, such
    as ``"0028|0010"``, come with it, empty where there are none.

    Raises
    ------
    VolumeReadError
        If ITK cannot read it.
    UnknownFormatError
        If the voxels are not plain numbers.
    """
    itk = import_extra("SimpleITK", "itk")
    reader = _reader(path)
    with decoding(path, "SimpleITK"):
        Path(path).stat()
        reader.ReadImageInformation()
        dtype = _dtype(path, itk, reader.GetPixelID())
        size = [int(n) for n in reader.GetSize()]
        if not 2 <= len(size) <= 4 or min(size) < 1:
            raise damaged(path, f"expected 2 to 4 axes without empty ones, got {tuple(size)}")
        w, h, d, more = (*size, 1, 1)[:4]
        components = int(reader.GetNumberOfComponents())
        shape = (components * more, w, h, d)
        affine = _affine(reader, len(size))
        there = set(reader.GetMetaDataKeys()) if tags else ()
        values = tuple(reader.GetMetaData(tag) if tag in there else "" for tag in tags)
    return ItkHeader(shape, dtype, affine, components, values)


def decode_itk(path: str, header: ItkHeader) -> Array:
    """Return all voxels of a file, ``(C, W, H, D)``.

    Raises
    ------
    VolumeReadError
        If ITK cannot decode it.
    """
    itk = import_extra("SimpleITK", "itk")
    with decoding(path, "SimpleITK"):
        image = _reader(path).Execute()
        stored = itk.GetArrayFromImage(image)
    voxels: Array = stored.reshape(header.stored_shape[::-1]).T
    return channels_first(voxels).astype(header.dtype, copy=False)


def channels_first(voxels: Array) -> Array:
    """Return ``(C, W, H, D)`` for components, W, H, D, more: a view where one of both is one."""
    _, w, h, d, _ = voxels.shape
    return voxels.transpose(0, 4, 1, 2, 3).reshape(-1, w, h, d)


@final
class ItkSource(VolumeSource):
    """A file that ITK reads: NRRD, MetaImage, and others.

    ITK's world is LPS+, in whatever unit the file has; the affine here is RAS+, mm. Voxels of
    NRRD and MetaImage that lie unencoded in one file are memory mapped, so that a box costs what
    it holds.

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
        If SimpleITK is not installed.

    Examples
    --------
    >>> import SimpleITK, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     SimpleITK.WriteImage(SimpleITK.Image(4, 5, 6, SimpleITK.sitkInt16), f"{folder}/a.nrrd")
    ...     source = ItkSource(f"{folder}/a.nrrd")
    >>> source.shape, source.reads_regions
    ((1, 4, 5, 6), True)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path: str = os.fspath(path)
        is_mapped = self.path.lower().endswith(_MAPPED)
        stored, lengths = read_layout(self.path) if is_mapped else (None, (1.0, 1.0, 1.0))
        self.header = header = read_itk_header(self.path)
        self.shape = header.shape
        self.dtype = header.dtype
        affine = np.diag([*lengths, 1.0]) @ header.affine
        self.space = space_in(self.path, header.shape[1:], affine)
        self._stored = _mappable(self.path, header, stored)
        self.reads_regions = self._stored is not None
        self._packed = stored if _is_packed_meta(self.path, stored) else None
        self.files = _files(self.path, stored, is_told=is_mapped)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all; a read-only view where they are mapped."""
        if box is not None:
            self.check_box(box)
        places = (slice(None), *(box or Box((0, 0, 0), self.spatial_shape)).slices)
        if self._packed is not None:
            voxels = channels_first(self._unpack(self._packed)[places])
        elif self._stored is not None:
            voxels = channels_first(self._map(self._stored)[places])
        else:
            voxels = decode_itk(self.path, self.header)[places]
        if voxels.dtype.isnative and voxels.flags.aligned:
            return voxels
        return voxels.astype(self.dtype)

    def _unpack(self, stored: StoredVoxels) -> Array:
        packed = inflate(stored, math.prod(self.shape) * self.dtype.itemsize)
        dtype = self.dtype.newbyteorder(">" if stored.big_endian else "<")
        return packed.view(dtype).reshape(self.header.stored_shape, order="F")

    def _map(self, stored: StoredVoxels) -> Array:
        voxel_bytes = math.prod(self.shape) * self.dtype.itemsize
        with reading(stored.path):
            file_bytes = Path(stored.path).stat().st_size
        return map_voxels(
            stored.path,
            shape=self.header.stored_shape,
            dtype=self.dtype.newbyteorder(">" if stored.big_endian else "<"),
            offset=stored.raw_offset(voxel_bytes),
            file_bytes=file_bytes,
        )


def _files(path: str, stored: StoredVoxels | None, *, is_told: bool) -> tuple[str, ...]:
    """Return the header and what holds the voxels; none where the header names several."""
    if stored is None:
        return () if is_told else (path,)
    return (path,) if stored.path == path else (path, stored.path)


def _mappable(path: str, header: ItkHeader, stored: StoredVoxels | None) -> StoredVoxels | None:
    """Return where raw voxels lie; raise if the files are too short for what is declared."""
    if stored is None:
        return None
    voxel_bytes = math.prod(header.shape) * header.dtype.itemsize
    if stored.encoding == "raw":
        stored.raw_offset(voxel_bytes)
        return stored if stored.components_first else None
    with reading(path):
        there = Path(stored.path).stat().st_size
    if stored.encoding == "deflate" and voxel_bytes > there * MOST_BYTES_PER_BYTE:
        raise damaged(
            path, f"declares {voxel_bytes} bytes of voxels, {there} bytes cannot unpack to that"
        )
    return None


def _is_packed_meta(path: str, stored: StoredVoxels | None) -> bool:
    is_meta = path.lower().endswith((".mha", ".mhd"))
    return is_meta and stored is not None and stored.encoding == "deflate"


def _reader(path: str) -> Any:
    reader = import_extra("SimpleITK", "itk").ImageFileReader()
    reader.SetFileName(path)
    return reader


def _dtype(path: str, itk: Any, pixel: int) -> np.dtype[Any]:
    for name, code in _PIXELS.items():
        if pixel in (getattr(itk, f"sitk{name}"), getattr(itk, f"sitkVector{name}")):
            return np.dtype(code)
    raise UnknownFormatError(
        f"{path}: expected integers or floats, got {itk.GetPixelIDValueAsString(pixel)}; "
        "convert it first"
    )


def _affine(reader: Any, axes: int) -> Affine:
    spatial = min(axes, 3)
    affine = np.eye(4)
    direction = np.reshape(reader.GetDirection(), (axes, axes))[:spatial, :spatial]
    affine[:spatial, :spatial] = direction * np.array(reader.GetSpacing()[:spatial])
    affine[:spatial, 3] = reader.GetOrigin()[:spatial]
    ras: Affine = _LPS_TO_RAS @ affine
    return ras


def find_series(folder: str) -> dict[str, tuple[str, ...]]:
    """Return the DICOM series in a folder: the files of each in the order of their places.

    Raises
    ------
    VolumeReadError
        If ITK cannot read the folder.
    """
    series = import_extra("SimpleITK", "itk").ImageSeriesReader
    with decoding(folder, "SimpleITK"):
        names = series.GetGDCMSeriesIDs(folder)
        return {name: tuple(series.GetGDCMSeriesFileNames(folder, name)) for name in names}


def write_itk(path: str, voxels: Array, affine: Affine) -> None:
    """Write a volume ``(C, W, H, D)`` in a format of ITK; channels become components.

    Raises
    ------
    UnknownFormatError
        If ITK has no such type, or cannot write it in this format.
    MissingExtraError
        If SimpleITK is not installed.
    """
    itk = import_extra("SimpleITK", "itk")
    stored = voxels.transpose(3, 2, 1, 0)
    has_components = len(voxels) > 1
    lps = _LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    try:
        image = itk.GetImageFromArray(
            stored if has_components else stored[..., 0], isVector=has_components
        )
        image.SetSpacing(spacing.tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        itk.WriteImage(image, path)
    except (RuntimeError, TypeError, KeyError) as error:
        raise UnknownFormatError(
            f"{path}: ITK cannot write {voxels.dtype} voxels there, {' '.join(str(error).split())}"
        ) from error
