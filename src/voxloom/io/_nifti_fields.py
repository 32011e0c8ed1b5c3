"""The fields of a NIfTI header that say where voxels are and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom.io._failures import damaged

ByteOrder = Literal["<", ">"]

_FIRST: Final = {
    "dim": (40, "8i2"),
    "datatype": (70, "i2"),
    "bitpix": (72, "i2"),
    "pixdim": (76, "8f4"),
    "vox_offset": (108, "f4"),
    "scl_slope": (112, "f4"),
    "scl_inter": (116, "f4"),
    "xyzt_units": (123, "u1"),
    "qform_code": (252, "i2"),
    "sform_code": (254, "i2"),
    "quaternion": (256, "3f4"),
    "qoffset": (268, "3f4"),
    "srow": (280, "(3,4)f4"),
}
_SECOND: Final = {
    "dim": (16, "8i8"),
    "datatype": (12, "i2"),
    "bitpix": (14, "i2"),
    "pixdim": (104, "8f8"),
    "vox_offset": (168, "i8"),
    "scl_slope": (176, "f8"),
    "scl_inter": (184, "f8"),
    "xyzt_units": (500, "i4"),
    "qform_code": (344, "i4"),
    "sform_code": (348, "i4"),
    "quaternion": (352, "3f8"),
    "qoffset": (376, "3f8"),
    "srow": (400, "(3,4)f8"),
}


def _layout(fields: dict[str, tuple[int, str]], size: int) -> np.dtype[Any]:
    return np.dtype(
        {
            "names": list(fields),
            "formats": [kind for _, kind in fields.values()],
            "offsets": [offset for offset, _ in fields.values()],
            "itemsize": size,
        }
    )


LAYOUTS: Final = {348: _layout(_FIRST, 348), 540: _layout(_SECOND, 540)}
_MAGICS: Final = {348: (344, b"n+1\0", b"ni1\0"), 540: (4, b"n+2\0", b"ni2\0")}


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """The fields as the file has them, in Python's and NumPy's native types.

    Names are those of the NIfTI standard. `dim` and `pixdim` have eight entries, the first
    being the number of axes and the sign of the third axis. Floats keep their precision.
    """

    byte_order: ByteOrder
    header_bytes: int
    is_single_file: bool
    dim: tuple[int, ...]
    datatype: int
    bitpix: int
    pixdim: np.ndarray[Any, Any]
    vox_offset: float
    scl_slope: float
    scl_inter: float
    xyzt_units: int
    qform_code: int
    sform_code: int
    quaternion: np.ndarray[Any, Any]
    qoffset: np.ndarray[Any, Any]
    srow: np.ndarray[Any, Any]


def is_analyze(first: bytes) -> bool:
    """Whether the bytes begin like an Analyze 7.5 header: 348 bytes without NIfTI's mark."""
    return _size_and_order(first)[0] == 348 and first[344:348] not in _MAGICS[348][1:]


def read_fields(path: str, first: bytes) -> Fields:
    """Read the fields from the first bytes of a file.

    Raises
    ------
    VolumeReadError
        If they are not the beginning of a NIfTI header.
    """
    if not first:
        raise damaged(path, "expected a NIfTI header, the file is empty")
    size, order = _size_and_order(first)
    if size not in LAYOUTS:
        raise VolumeReadError(
            f"{path}: expected a NIfTI header, which begins with its size, 348 or 540, "
            f"got {size}; it is damaged or of another format: pass reader= for that"
        )
    if len(first) < size:
        raise damaged(path, f"expected a header of {size} bytes, got {len(first)}")
    start, single, pair = _MAGICS[size]
    magic = first[start : start + 4]
    if magic not in (single, pair):
        raise damaged(path, f"expected {single!r} or {pair!r} at byte {start}, got {magic!r}")
    record = np.frombuffer(first, LAYOUTS[size].newbyteorder(order), count=1)[0]
    return _fields(record, order, size, magic == single)


def _size_and_order(first: bytes) -> tuple[int, ByteOrder]:
    little = int.from_bytes(first[:4], "little")
    big = int.from_bytes(first[:4], "big")
    if little not in LAYOUTS and big in LAYOUTS:
        return big, ">"
    return little, "<"


def _fields(record: Any, order: ByteOrder, size: int, is_single_file: bool) -> Fields:
    def native(name: str) -> np.ndarray[Any, Any]:
        values = np.asarray(record[name])
        return values.astype(values.dtype.newbyteorder("="))

    return Fields(
        byte_order=order,
        header_bytes=size,
        is_single_file=is_single_file,
        dim=tuple(int(n) for n in record["dim"]),
        datatype=int(record["datatype"]),
        bitpix=int(record["bitpix"]),
        pixdim=native("pixdim"),
        vox_offset=float(record["vox_offset"]),
        scl_slope=float(record["scl_slope"]),
        scl_inter=float(record["scl_inter"]),
        xyzt_units=int(record["xyzt_units"]),
        qform_code=int(record["qform_code"]),
        sform_code=int(record["sform_code"]),
        quaternion=native("quaternion"),
        qoffset=native("qoffset"),
        srow=native("srow"),
    )
