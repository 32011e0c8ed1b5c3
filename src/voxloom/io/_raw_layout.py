"""What ITK does not tell of a NRRD or MetaImage: where its voxels lie, and the unit of lengths.

Formats: NRRD (Kindlmann, teem), MetaIO (Kitware). Other geometry is not read here.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloom._errors import VolumeNotFoundError
from voxloom.io._failures import damaged, reading
from voxloom.io._lengths import millimetres_in

_LONGEST_HEADER: Final = 1 << 20
_RAW: Final = {"raw"}
_DEFLATED: Final = {"gzip", "gz"}
_IN_HEADER: Final = "LOCAL"
_NRRD: Final = (".nrrd", ".nhdr")
_DOMAINS: Final = ("domain", "space", "time")
_QUOTED: Final = re.compile(r'"([^"]*)"')


@dataclass(frozen=True, slots=True)
class StoredVoxels:
    """What a header says about its voxels in the file.

    Attributes
    ----------
    path : str
        The file that holds them: the header itself, or one beside it.
    offset : int
        Bytes before the first voxel; -1 if they are the last bytes of the file.
    encoding : {'raw', 'deflate', 'other'}
        How they are packed.
    big_endian : bool
        Byte order of what is unpacked.
    components_first : bool
        Whether the components of a voxel follow each other.
    """

    path: str
    offset: int
    encoding: str
    big_endian: bool
    components_first: bool

    def raw_offset(self, voxel_bytes: int) -> int:
        """Return the offset of the first voxel, checked against the size of the file.

        Raises
        ------
        VolumeReadError
            If the file is too short for what its header says.
        """
        with reading(self.path):
            there = Path(self.path).stat().st_size
        offset = there - voxel_bytes if self.offset < 0 else self.offset
        if offset < 0 or offset + voxel_bytes > there:
            raise damaged(
                self.path,
                f"the header says {voxel_bytes} bytes of voxels, the file has "
                f"{max(there - max(self.offset, 0), 0)} for them",
            )
        return offset


def read_layout(path: str) -> tuple[StoredVoxels | None, tuple[float, float, float]]:
    """Read the header of a NRRD or MetaImage.

    Parameters
    ----------
    path : str
        A file ``.nrrd``, ``.nhdr``, ``.mha`` or ``.mhd``.

    Returns
    -------
    stored : StoredVoxels or None
        Where the voxels lie; None where it is not that simple.
    lengths : (x, y, z)
        How many mm the unit of each spatial axis has, 1 where the header names none.

    Raises
    ------
    VolumeReadError
        If the file cannot be read.
    """
    with reading(path), Path(path).open("rb") as file:
        head = file.read(_LONGEST_HEADER)
    if path.lower().endswith(_NRRD):
        stored = _find_in_nrrd(path, head)
        units = _units_in_nrrd(_fields(head[: _end_of_nrrd(head)[0]], ":"))
    else:
        stored = _find_in_meta(path, head)
        units = [_fields(_meta_header(head), "=").get("distanceunits", "")] * 3
    x, y, z = map(millimetres_in, (*units, "", "", "")[:3])
    return stored, (x, y, z)


def _units_in_nrrd(fields: dict[str, str]) -> list[str]:
    """Return the units of the space, or of the axes where there is no space."""
    if "space units" in fields:
        return _QUOTED.findall(fields["space units"])
    units = _QUOTED.findall(fields.get("units", ""))
    kinds = fields.get("kinds", "").lower().split()
    return [
        unit for unit, kind in itertools.zip_longest(units, kinds, fillvalue="") if _is_domain(kind)
    ]


def _is_domain(kind: str) -> bool:
    return kind in ("", *_DOMAINS)


def _end_of_nrrd(head: bytes) -> tuple[int, int]:
    """Return where the fields of a NRRD end, and how long the blank line behind them is."""
    ends = [(head.find(blank), len(blank)) for blank in (b"\n\n", b"\r\n\r\n")]
    return min([(place, width) for place, width in ends if place >= 0], default=(len(head), 0))


def _meta_header(head: bytes) -> bytes:
    """Return a MetaImage's header, up to the line that names the voxels; empty without one."""
    length = 0
    for line in head.split(b"\n"):
        length += len(line) + 1
        if line.strip().lower().startswith(b"elementdatafile"):
            return head[:length]
    return b""


def _find_in_nrrd(path: str, head: bytes) -> StoredVoxels | None:
    end, width = _end_of_nrrd(head)
    fields = _fields(head[:end], ":")
    lines = fields.get("line skip", fields.get("lineskip", "0"))
    if not head.startswith(b"NRRD") or _whole(lines):
        return None
    skip = _whole(fields.get("byte skip", fields.get("byteskip", "0")))
    detached = fields.get("data file", fields.get("datafile"))
    if detached and (detached.startswith("LIST") or "%" in detached):
        return None
    encoding = fields.get("encoding", "").lower()
    if skip is None or (skip and encoding not in _RAW):
        return None
    start = 0 if detached else end + width
    return StoredVoxels(
        path=_beside(path, detached) if detached else path,
        offset=-1 if skip < 0 else start + skip,
        encoding="raw" if encoding in _RAW else "deflate" if encoding in _DEFLATED else "other",
        big_endian=fields.get("endian", "little").lower() == "big",
        components_first=_components_first(fields),
    )


def _components_first(fields: dict[str, str]) -> bool:
    kinds = fields.get("kinds", "").lower().split()
    return all(kind in _DOMAINS for kind in kinds[1:])


def _find_in_meta(path: str, head: bytes) -> StoredVoxels | None:
    header = _meta_header(head)
    if not header:
        return None
    fields = _fields(header, "=")
    _check_dimensions(path, fields)
    name = fields.get("elementdatafile", "")
    skip = _whole(fields.get("headersize", "0"))
    if skip is None or name.startswith("LIST") or "%" in name:
        return None
    local = name.upper() == _IN_HEADER
    packed = _is_true(fields.get("compresseddata", "false"))
    msb = fields.get("binarydatabyteordermsb", fields.get("elementbyteordermsb", "false"))
    binary = _is_true(fields.get("binarydata", "true"))
    return StoredVoxels(
        path=path if local else _beside(path, name),
        offset=len(header) if local and not skip else skip,  # else it counts from the first byte
        encoding="deflate" if packed else "raw" if binary else "other",
        big_endian=_is_true(msb),
        components_first=True,
    )


def _is_true(text: str) -> bool:
    return text[:1].lower() in ("t", "1")  # as MetaIO reads it


def _check_dimensions(path: str, fields: dict[str, str]) -> None:
    """Raise unless the axes are those of a volume: ITK's parser crashes on some that are not."""
    axes = fields.get("ndims", "")
    lengths = fields.get("dimsize", "").split()
    if axes not in ("2", "3", "4") or len(lengths) != int(axes):
        raise damaged(path, f"expected 2 to 4 axes, got NDims = {axes!r} and DimSize = {lengths}")


def _fields(head: bytes, separator: str) -> dict[str, str]:
    fields = {}
    for line in head.decode("latin-1").splitlines():
        key, found, value = line.partition(separator)
        if found and not line.startswith("#") and not value.startswith("="):  # of a key := value
            fields[key.strip().lower()] = value.strip()
    return fields


def _whole(text: str) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return number if -1 <= number < math.inf else None


def _beside(path: str, name: str) -> str:
    if not name.isprintable() or not name:
        raise damaged(path, f"says that its voxels lie in {name!r}, which names no file")
    file = Path(path).parent / name
    if not file.exists():
        raise VolumeNotFoundError(
            f"{path}: its voxels should lie in {file}, there is no such file; copy both"
        )
    return str(file)
