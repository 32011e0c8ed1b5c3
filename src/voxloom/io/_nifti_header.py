"""The header of a NIfTI file, read without nibabel, and not believed before it is checked.

Layout: NIfTI-1 (Cox et al. 2004, 348 bytes) and NIfTI-2 (2011, 540 bytes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom._errors import GeometryError, UnknownFormatError
from voxloom.geometry import Affine, as_affine
from voxloom.io._failures import damaged, reading
from voxloom.io._gzip import MOST_BYTES_PER_BYTE, is_gzip, read_first_bytes
from voxloom.io._nifti_affine import best_affine
from voxloom.io._nifti_fields import Fields, read_fields
from voxloom.io._source import Shape4

_DTYPES: Final = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
_REFUSED: Final = {
    1: "single bits",
    32: "complex numbers",
    128: "RGB colours",
    1536: "128-bit floats",
    1792: "complex numbers",
    2048: "complex numbers",
    2304: "RGBA colours",
}
_LONGEST_HEADER: Final = 540
_FARTHEST_MM: Final = 1e9


@dataclass(frozen=True, slots=True, eq=False)
class NiftiHeader:
    """Where the voxels of a NIfTI volume lie and what they mean.

    Attributes
    ----------
    shape : (C, W, H, D) tuple of int
        Axes 4 and 5 of the file are channels.
    disk_dtype : numpy.dtype
        Type of the voxels in the file, byte order included.
    scaling : (float, float) or None
        Slope and intercept, where there is anything to scale.
    affine : (4, 4) float64
        Voxel indices to world, RAS+, mm.
    voxel_path : str
        The file that holds the voxels: the ``.img`` of a pair.
    offset : int
        Bytes before the first voxel, once decompressed.
    file_bytes : int
        Size of that file, compressed or not.
    compressed : bool
        Whether that file is gzip.
    """

    shape: Shape4
    disk_dtype: np.dtype[Any]
    scaling: tuple[float, float] | None
    affine: Affine
    voxel_path: str
    offset: int
    file_bytes: int
    compressed: bool

    @property
    def voxel_bytes(self) -> int:
        """Bytes that all voxels take, once decompressed."""
        return math.prod(self.shape) * self.disk_dtype.itemsize


def read_nifti_header(path: str) -> NiftiHeader:
    """Read the header of a ``.nii``, ``.nii.gz``, or of a pair ``.hdr`` and ``.img``.

    No voxel is read, and nothing the size of the volume is allocated.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file, or one of the pair is missing.
    VolumeReadError
        If the header contradicts itself or the size of the file.
    UnknownFormatError
        If the voxels are not plain numbers: colours, complex numbers, single bits.
    """
    header_path, voxel_path = pair_of(path)
    first = read_first_bytes(header_path, _LONGEST_HEADER)
    fields = read_fields(header_path, first)
    single = header_path == voxel_path
    if single != fields.is_single_file:
        ours, theirs = ("one file", "a pair") if single else ("a pair", "one file")
        raise damaged(header_path, f"expected the header of {ours}, got that of {theirs}")
    with reading(voxel_path):
        file_bytes = Path(voxel_path).stat().st_size
    header = NiftiHeader(
        shape=_shape(header_path, fields),
        disk_dtype=_disk_dtype(header_path, fields),
        scaling=_scaling(header_path, fields),
        affine=_affine(header_path, fields),
        voxel_path=voxel_path,
        offset=_offset(header_path, fields),
        file_bytes=file_bytes,
        compressed=is_gzip(voxel_path),
    )
    _check_size(header)
    return header


def pair_of(path: str) -> tuple[str, str]:
    """Return the file that holds the header and the file that holds the voxels.

    Examples
    --------
    >>> pair_of("brain.nii.gz")
    ('brain.nii.gz', 'brain.nii.gz')
    >>> pair_of("brain.img")
    ('brain.hdr', 'brain.img')
    """
    stem, gz = (path[:-3], path[-3:]) if path.lower().endswith(".gz") else (path, "")
    suffix = stem[-4:]
    if suffix.lower() not in (".hdr", ".img"):
        return path, path
    hdr, img = (".HDR", ".IMG") if suffix.isupper() else (".hdr", ".img")
    return _twin(stem[:-4] + hdr, gz), _twin(stem[:-4] + img, gz)


def _twin(name: str, gz: str) -> str:
    # Only one of the two may be compressed, so the other way is tried where this is missing.
    first, second = name + gz, name + ("" if gz else ".gz")
    return second if Path(second).exists() and not Path(first).exists() else first


def _shape(path: str, fields: Fields) -> Shape4:
    count = fields.dim[0]
    if not 1 <= count <= 7:
        raise damaged(path, f"expected 1 to 7 axes, the header says {count}")
    sizes = fields.dim[1 : count + 1]
    if min(sizes) < 1:
        raise damaged(path, f"expected at least one voxel along each axis, the header says {sizes}")
    w, h, d = (*sizes, 1, 1)[:3]
    if math.prod(sizes[5:]) > 1:
        raise damaged(path, f"expected at most 5 axes longer than one voxel, got {sizes}")
    return math.prod(sizes[3:5]), w, h, d


def _disk_dtype(path: str, fields: Fields) -> np.dtype[Any]:
    code, bits = fields.datatype, fields.bitpix
    if code in _REFUSED:
        raise UnknownFormatError(
            f"{path}: its voxels are {_REFUSED[code]} (NIfTI datatype {code}), expected "
            "integers or floats of at most 64 bits; convert it, or pass reader="
        )
    if code not in _DTYPES:
        raise damaged(path, f"expected a NIfTI datatype among {sorted(_DTYPES)}, got {code}")
    dtype = np.dtype(_DTYPES[code]).newbyteorder(fields.byte_order)
    if bits != 8 * dtype.itemsize:
        raise damaged(
            path, f"expected {8 * dtype.itemsize} bits a voxel for datatype {code}, got {bits}"
        )
    return dtype


def _scaling(path: str, fields: Fields) -> tuple[float, float] | None:
    slope, inter = fields.scl_slope, fields.scl_inter
    if slope == 0 or not math.isfinite(slope):
        return None
    if not math.isfinite(inter):
        raise damaged(path, f"expected a finite scl_inter beside scl_slope={slope:g}, got {inter}")
    return None if (slope, inter) == (1, 0) else (slope, inter)


def _affine(path: str, fields: Fields) -> Affine:
    try:
        with np.errstate(all="ignore"):  # a header of noise is an error, not a warning
            affine = best_affine(fields)
        if np.abs(affine).max() > _FARTHEST_MM:
            raise GeometryError(f"it reaches {np.abs(affine).max():.3g} mm far")
        return as_affine(affine)
    except GeometryError as error:
        raise damaged(path, f"the header gives no usable affine, {error}") from error


def _offset(path: str, fields: Fields) -> int:
    least = fields.header_bytes if fields.is_single_file else 0
    offset = fields.vox_offset
    if not (math.isfinite(offset) and offset == int(offset) and offset >= least):
        raise damaged(
            path, f"expected the voxels to begin at byte {least} or later, vox_offset is {offset:g}"
        )
    return int(offset)


def _check_size(header: NiftiHeader) -> None:
    needed, there = header.offset + header.voxel_bytes, header.file_bytes
    what = f"a volume of shape {header.shape} and type {header.disk_dtype.name} needs {needed}"
    if header.compressed:
        if needed > MOST_BYTES_PER_BYTE * there:
            raise damaged(
                header.voxel_path, f"{what} bytes, {there} compressed bytes cannot hold them"
            )
    elif needed != there:
        raise damaged(header.voxel_path, f"{what} bytes, the file has {there}")
