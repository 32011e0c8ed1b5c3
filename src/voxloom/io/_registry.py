"""Which reader opens which file: chosen by suffix, the longest first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from voxloom._errors import UnknownFormatError, VolumeNotFoundError
from voxloom.io._blosc2 import Blosc2Source
from voxloom.io._dicom import DicomSource
from voxloom.io._dicom_file import DicomFileSource
from voxloom.io._gzip import read_first_bytes
from voxloom.io._hdf5 import Hdf5Source
from voxloom.io._itk import ItkSource
from voxloom.io._nibabel import NibabelSource
from voxloom.io._nifti import NiftiSource
from voxloom.io._nifti_fields import is_analyze
from voxloom.io._nifti_header import pair_of
from voxloom.io._npy import NpySource
from voxloom.io._reader import Reader, ReaderSource
from voxloom.io._remote import is_url, local_path
from voxloom.io._source import VolumeSource
from voxloom.io._tiff import TiffSource
from voxloom.io._zarr import ZarrSource, is_zarr

Opener = Callable[[str], VolumeSource]

_ANALYZE_BYTES: Final = 348


def _open_pair(path: str) -> VolumeSource:
    header_path, _ = pair_of(path)
    if is_analyze(read_first_bytes(header_path, _ANALYZE_BYTES)):
        return NibabelSource(path)
    return NiftiSource(path)


_openers: dict[str, Opener] = {
    ".nii": NiftiSource,
    ".nii.gz": NiftiSource,
    ".hdr": _open_pair,
    ".hdr.gz": _open_pair,
    ".img": _open_pair,
    ".img.gz": _open_pair,
    ".npy": NpySource,
    ".mgh": NibabelSource,
    ".mgz": NibabelSource,
    ".mnc": NibabelSource,
    ".nii.bz2": NibabelSource,
    ".zarr": ZarrSource,
    ".h5": Hdf5Source,
    ".hdf5": Hdf5Source,
    ".b2nd": Blosc2Source,
    ".nrrd": ItkSource,
    ".nhdr": ItkSource,
    ".mha": ItkSource,
    ".mhd": ItkSource,
    ".gipl": ItkSource,
    ".dcm": DicomFileSource,
    ".tif": TiffSource,
    ".tiff": TiffSource,
}
_PICTURES: Final = (".png", ".jpg", ".jpeg", ".bmp")
"""Slices that are read where they are named. In a folder of volumes they are previews."""

_LOCAL: Final = frozenset(_openers.values()) - {ZarrSource, Hdf5Source, Blosc2Source}
"""These seek in a file; over a network each would fetch the whole of it for every patch."""


def open_volume(path: str | os.PathLike[str], reader: Reader | None = None) -> VolumeSource:
    """Open a volume: its header is read, its voxels are not.

    Parameters
    ----------
    path : str or path-like
        A file; a folder that holds a Zarr image or a DICOM series; or the URL of a Zarr image,
        an HDF5 file or a blosc2 array, ``s3://``, ``gs://``, ``https://`` or ``http://``.
        ``file://`` may name any of these. A leading ``~`` stands for the home folder.
    reader : callable, optional
        ``reader(path)`` gives ``(voxels, affine)``. It is used whatever the suffix, and is
        called once to learn shape and type.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    UnknownFormatError
        If no reader is known for the suffix, or none that reads it from a URL.
    VolumeReadError
        If the file is not what its suffix says.

    Examples
    --------
    >>> import numpy as np
    >>> open_volume("scan.xyz", reader=lambda path: (np.ones((4, 5, 6)), None)).shape
    (1, 4, 5, 6)
    """
    name = os.path.expanduser(os.fspath(path))  # noqa: PTH111  Path would drop a trailing slash
    name = local_path(name)
    if reader is not None:
        return ReaderSource(name, reader)
    return _opener_of(name)(name)


def register_reader(suffix: str, opener: Opener) -> None:
    """Let `opener` open the files whose names end with `suffix`, in this process.

    Worker processes that are spawned import your module again: call this where it is
    imported.

    Parameters
    ----------
    suffix : str
        Such as ``".nrrd"`` or ``".nii.zst"``, in any case. One that is known is replaced.
    opener : callable
        Takes a path, returns a `VolumeSource`, often the class itself.

    Raises
    ------
    ValueError
        If the suffix does not begin with a dot.

    Examples
    --------
    >>> from voxloom.io import NiftiSource
    >>> register_reader(".nifti", NiftiSource)
    """
    if not suffix.startswith(".") or len(suffix) < 2:
        raise ValueError(f"a suffix begins with a dot, such as '.nrrd', got {suffix!r}")
    _openers[suffix.lower()] = opener


def known_suffixes() -> list[str]:
    """Return the suffixes that a reader is known for, lower case, the longest first."""
    return sorted(_openers, key=len, reverse=True)


def _checked(path: str, opener: Opener) -> Opener:
    if is_url(path) and opener in _LOCAL:
        raise UnknownFormatError(
            f"{path}: of URLs only Zarr, HDF5 and blosc2 are read, in which a patch costs its own "
            "chunks; copy the file, store it as OME-Zarr (voxloom.io.write_zarr), or pass reader="
        )
    return opener


def _opener_of(path: str) -> Opener:
    name = Path(path).name.lower()
    for suffix in known_suffixes():
        if name.endswith(suffix):
            return _checked(path, _openers[suffix])
    if name.endswith(_PICTURES):
        return _checked(path, ItkSource)
    if is_url(path) or is_zarr(path):
        return ZarrSource
    if Path(path).is_dir():
        return DicomSource
    if not Path(path).exists():
        raise VolumeNotFoundError(f"{path}: there is no such file; check the path")
    raise UnknownFormatError(
        f"{path}: no reader is known for this name, known suffixes are "
        f"{', '.join(sorted(_openers))}; pass reader=, a function that takes the path and "
        "returns (voxels, affine), or add one with register_reader"
    )
