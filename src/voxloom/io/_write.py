"""Writing NIfTI, whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from voxloom._errors import UnknownFormatError
from voxloom.geometry import Affine, as_affine, spacing_of
from voxloom.io._nifti_fields import LAYOUTS
from voxloom.io._shapes import four_axes
from voxloom.io._source import Shape4

_CODES: Final = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
    "uint64": 1280,
}
_SCANNER: Final = 1
_MILLIMETRES: Final = 2
_LONGEST_AXIS_OF_NIFTI1: Final = 2**15 - 1
_HUGE_PAGE_BYTES: Final = 1 << 21
_GZIP: Final = 31


def write_nifti(
    path: str | os.PathLike[str], array: npt.ArrayLike, affine: npt.ArrayLike | None = None
) -> str:
    """Write a volume as NIfTI-1, or NIfTI-2 where an axis has more than 32767 voxels.

    The file appears under its name when it is complete: a reader never sees half of it.

    Parameters
    ----------
    path : str or path-like
        Ends with ``.nii`` or ``.nii.gz``.
    array : (C, W, H, D), (W, H, D) or (W, H) array
        Voxels, written in their own type; booleans as uint8.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm; the identity if None. NIfTI-1 keeps it in float32.

    Returns
    -------
    str
        The path.

    Raises
    ------
    UnknownFormatError
        If the suffix is another, or NIfTI has no such type, as for float16.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_nifti(f"{folder}/t1.nii", np.ones((4, 5, 6), dtype=np.float32))
    ...     Path(path).stat().st_size
    832
    """
    name = os.fspath(path)
    if not name.lower().endswith((".nii", ".nii.gz")):
        raise UnknownFormatError(f"{name}: NIfTI is written to .nii or .nii.gz, not to this name")
    parts = nifti_parts(name, array, affine)
    _replace(name, *parts, compressed=name.lower().endswith(".gz"))
    return name


def nifti_parts(
    name: str, array: npt.ArrayLike, affine: npt.ArrayLike | None = None
) -> tuple[bytes, memoryview]:
    """Return what a NIfTI file consists of: what is before the voxels, and the voxels.

    Voxels that lie in the order of the file, first axis fastest, are not copied. The errors are
    those of `write_nifti`.
    """
    voxels = np.asarray(array)
    if voxels.dtype == np.bool_:
        voxels = voxels.view(np.uint8)
    voxels = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    voxels = voxels.reshape(four_axes(name, voxels.shape))
    channels, w, h, d = voxels.shape
    header = nifti_header(name, voxels.dtype, (channels, w, h, d), as_affine(affine))
    return header, np.moveaxis(voxels, 0, -1).reshape(-1, order="F").view(np.uint8).data


def nifti_header(name: str, dtype: np.dtype[Any], shape: Shape4, affine: Affine) -> bytes:
    """Return the bytes before the first voxel of a NIfTI file, little-endian.

    Raises
    ------
    UnknownFormatError
        If NIfTI has no such type; the message calls the file `name`.
    """
    if dtype.name not in _CODES:
        raise UnknownFormatError(
            f"{name}: NIfTI has no type {dtype}, it has {', '.join(_CODES)}; "
            "convert the array first, e.g. array.astype('float32')"
        )
    channels, w, h, d = shape
    size = 348 if max(shape) <= _LONGEST_AXIS_OF_NIFTI1 else 540
    fields = np.zeros((), LAYOUTS[size].newbyteorder("<"))
    axes = 3 if channels == 1 else 4
    fields["dim"] = [axes, w, h, d, channels, 1, 1, 1]
    fields["datatype"] = _CODES[dtype.name]
    fields["bitpix"] = 8 * dtype.itemsize
    fields["vox_offset"] = size + 4
    fields["scl_slope"] = 1
    fields["xyzt_units"] = _MILLIMETRES
    fields["sform_code"] = _SCANNER
    fields["srow"] = affine[:3]
    _set_qform(fields, affine)
    return _mark(bytearray(fields.tobytes()), size)


def _set_qform(fields: Any, affine: Affine) -> None:
    spacing = np.array(spacing_of(affine))
    rotation = affine[:3, :3] / spacing
    flip = 1 if np.linalg.det(rotation) > 0 else -1
    rotation[:, 2] *= flip
    fields["pixdim"] = [flip, *spacing, 1, 1, 1, 1]
    if np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-5):  # no qform holds a shear
        fields["qform_code"] = _SCANNER
        fields["quaternion"] = _quaternion(rotation)
        fields["qoffset"] = affine[:3, 3]


def _quaternion(rotation: Affine) -> Affine:
    """Return (x, y, z) of the unit quaternion with w >= 0 (Bar-Itzhack 2000)."""
    r = rotation
    form = np.array(
        [
            [r[0, 0] - r[1, 1] - r[2, 2], 0, 0, 0],
            [r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], 0, 0],
            [r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1], 0],
            [r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1], np.trace(r)],
        ]
    )
    _, vectors = np.linalg.eigh(form)  # reads the lower triangle
    x, y, z, w = vectors[:, -1]
    sign = 1.0 if w >= 0 else -1.0
    return np.array([x, y, z], dtype=np.float64) * sign


def _mark(header: bytearray, size: int) -> bytes:
    header[:4] = size.to_bytes(4, "little")
    if size == 348:
        header[344:348] = b"n+1\0"
    else:
        header[4:12] = b"n+2\0\r\n\x1a\n"
    return bytes(header) + bytes(4)  # no extensions follow


def _replace(name: str, header: bytes, stored: memoryview, *, compressed: bool) -> None:
    target = Path(name)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.unfinished")
    try:
        with unfinished.open("xb") as file:
            packer = isal_zlib.compressobj(level=2, wbits=_GZIP) if compressed else None
            for piece in pieces_of(header, stored):
                file.write(packer.compress(piece) if packer else piece)
            if packer:
                file.write(packer.flush())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def pieces_of(header: bytes, stored: memoryview) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a file in pieces that begin at multiples of 2 MiB.

    Linux keeps what one write fills in one large page where it can, and maps it as one: boxes of
    a map of such a file are read a tenth faster than of the same file in pages of 4 KiB.
    """
    first = _HUGE_PAGE_BYTES - len(header)
    yield header + stored[:first]
    for start in range(first, len(stored), _HUGE_PAGE_BYTES):
        yield stored[start : start + _HUGE_PAGE_BYTES]
