"""DICOM series: a folder of slices, placed by where each of them says it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, final

import numpy as np

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.geometry import Affine, Box
from voxloom.io._dicom_elements import has_mark
from voxloom.io._dicom_slice import PLAIN_TAGS, plain_slice
from voxloom.io._failures import damaged, reading
from voxloom.io._itk import ItkHeader, decode_itk, find_series, read_itk_header
from voxloom.io._library import space_in
from voxloom.io._source import Array, VolumeSource

_UNEVEN: Final = 0.02
"""Share of the distance between slices by which one may be off its place."""

_MOST_SHOWN: Final = 4
_DIRECTORY: Final = "DICOMDIR"
SUFFIXES: Final = (".dcm", ".dicom", ".ima")


@final
class DicomSource(VolumeSource):
    """A folder that holds one DICOM series of slices.

    The third axis follows the positions of the slices, so that the shear of a tilted gantry
    is in the affine. Rescaled values are what ITK makes of them. Of uncompressed slices a box
    reads its rows; others are decoded, those that it touches.

    Parameters
    ----------
    folder : str or path-like
        The folder. Folders in it are not searched.
    series : str, optional
        The series instance UID, where the folder holds several.

    Raises
    ------
    VolumeNotFoundError
        If there is no such folder.
    VolumeReadError
        If a slice is missing, repeated, of another size or cannot be read, or the folder has
        several series.
    UnknownFormatError
        If there is no DICOM file in the folder.
    MissingExtraError
        If SimpleITK is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str], series: str | None = None) -> None:
        self.path: str = os.fspath(folder)
        self.files = _files(self.path, series)
        headers = [read_itk_header(file, PLAIN_TAGS) for file in self.files]
        channels, w, h, slices = headers[0].shape
        _check_alike(self.path, self.files, headers)
        pairs = zip(self.files, headers, strict=True)
        self._plain = tuple(plain_slice(file, header, header.tags) for file, header in pairs)
        self.reads_regions = all(plain is not None for plain in self._plain)
        self._headers = tuple(headers)
        self.shape = (channels, w, h, slices * len(headers))
        self.dtype = np.result_type(*(header.dtype for header in headers))
        affine = headers[0].affine if len(headers) == 1 else _stacked(self.path, headers)
        self.space = space_in(self.path, self.shape[1:], affine)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, from the slices that it touches."""
        if box is not None:
            self.check_box(box)
        box = box or Box((0, 0, 0), self.spatial_shape)
        if len(self.files) == 1:
            return self._read_file(0, box.slices).astype(self.dtype, copy=False)
        w, h, d = box.size
        out = np.empty((self.shape[0], d, h, w), self.dtype).transpose(0, 3, 2, 1)
        in_plane = (*box.slices[:2], slice(0, 1))
        for place, number in enumerate(range(box.index_ini[2], box.index_fin[2])):
            out[..., place] = self._read_file(number, in_plane)[..., 0]
        return out

    def _read_file(self, number: int, places: tuple[slice, ...]) -> Array:
        plain = self._plain[number]
        if plain is not None:
            return plain.read(self.files[number], places)[None]
        return decode_itk(self.files[number], self._headers[number])[(slice(None), *places)]


def _files(folder: str, series: str | None) -> tuple[str, ...]:
    with reading(folder):
        present = sorted(Path(folder).iterdir())
    found = find_series(folder)
    taken = {Path(file).name for files in found.values() for file in files}
    _check_none_is_left_out([file for file in present if file.name not in taken])
    if not found:
        raise UnknownFormatError(
            f"{folder}: there is no DICOM file in this folder, and it is no Zarr image; give the "
            "path of a volume"
        )
    if series is None and len(found) > 1:
        shown = ", ".join(repr(name) for name in list(found)[:_MOST_SHOWN])
        raise VolumeReadError(
            f"{folder}: it holds {len(found)} series, {shown}...; choose one with "
            "Image.from_source(DicomSource(folder, series))"
        )
    name = next(iter(found)) if series is None else series
    if name not in found:
        raise VolumeReadError(f"{folder}: there is no series {name!r} in it, it has {list(found)}")
    return found[name]


def _check_none_is_left_out(others: list[Path]) -> None:
    """Raise if a slice cannot be read: ITK leaves it out, and the first or last is not missed."""
    for file in others:
        is_ours = file.name.upper() != _DIRECTORY and not file.name.startswith(".")
        if is_ours and should_be_slice(file):
            raise damaged(
                os.fspath(file),
                "is no DICOM slice that can be read; take it out of the folder if it is no part of "
                "the volume",
            )


def should_be_slice(file: Path) -> bool:
    """Whether a file is DICOM by its mark or its suffix."""
    if not file.is_file():
        return False
    with reading(os.fspath(file)), file.open("rb") as opened:
        return has_mark(opened) or file.suffix.lower() in SUFFIXES


def _check_alike(folder: str, files: tuple[str, ...], headers: list[ItkHeader]) -> None:
    for file, header in zip(files, headers, strict=True):
        if header.shape != headers[0].shape or (len(headers) > 1 and header.shape[3] != 1):
            raise VolumeReadError(
                f"{folder}: slices of one series have one size, {files[0]} has "
                f"{headers[0].shape}, {file} has {header.shape}"
            )
        if not np.allclose(header.affine[:3, :2], headers[0].affine[:3, :2], atol=1e-3):
            raise VolumeReadError(f"{folder}: {file} is not parallel to {files[0]}")


def _stacked(folder: str, headers: list[ItkHeader]) -> Affine:
    places: np.ndarray[Any, np.dtype[np.float64]] = np.array([h.affine[:3, 3] for h in headers])
    step = (places[-1] - places[0]) / (len(places) - 1)
    length = float(np.linalg.norm(step))
    expected = places[0] + np.arange(len(places))[:, None] * step
    off = np.linalg.norm(places - expected, axis=1)
    if length == 0 or off.max() > _UNEVEN * length:
        worst = int(off.argmax())
        raise damaged(
            folder,
            f"{len(places)} slices are not evenly spaced, slice {worst} lies {off[worst]:.3g} mm "
            f"off its place at {length:.3g} mm a slice: one is missing or there twice",
        )
    affine = np.array(headers[0].affine)
    affine[:3, 2] = step
    return affine
