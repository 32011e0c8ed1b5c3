"""Where the voxels of an uncompressed DICOM file lie: its elements are stepped over, not read.

Layout: DICOM PS3.5, section 7, and PS3.10, section 7.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, Final, Literal, NamedTuple

from voxloom.io._failures import damaged, reading

ByteOrder = Literal["<", ">"]

_PREAMBLE: Final = 128
_MARK: Final = b"DICM"
_SYNTAXES: Final[dict[bytes, tuple[ByteOrder, bool]]] = {
    b"1.2.840.10008.1.2": ("<", False),
    b"1.2.840.10008.1.2.1": ("<", True),
    b"1.2.840.10008.1.2.2": (">", True),
}
"""Byte order, and whether elements name their types, of files that are not compressed."""

_LONG: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_SYNTAX: Final = (0x0002, 0x0010)
_VOXELS: Final = (0x7FE0, 0x0010)
ITEM: Final = (0xFFFE, 0xE000)
_END_OF_ITEM: Final = (0xFFFE, 0xE00D)
END_OF_SEQUENCE: Final = (0xFFFE, 0xE0DD)
UNDEFINED: Final = 0xFFFFFFFF
_LONGEST_SYNTAX: Final = 64
_MOST_ELEMENTS: Final = 1 << 16


class StoredPixels(NamedTuple):
    """Where the voxels lie in a file, in which byte order, ``<`` or ``>``."""

    offset: int
    pixel_bytes: int
    byte_order: ByteOrder
    file_bytes: int


class _Element(NamedTuple):
    tag: tuple[int, int]
    kind: bytes
    length: int


def find_pixels(path: str) -> StoredPixels | None:
    """Return where the voxels lie; None where the file is compressed, or not as plain as that.

    Nothing is allocated on the word of the file, and no more than its elements are visited.

    Raises
    ------
    VolumeReadError
        If the file ends before its voxels do.
    """
    with reading(path), Path(path).open("rb") as file:
        file_bytes = Path(path).stat().st_size
        syntax = start_of_elements(file)
        if syntax is None:
            return None
        found = _find_voxels(file, *syntax, file_bytes)
    if found is None:
        return None
    offset, length = found
    if offset + length > file_bytes:
        raise damaged(path, f"its voxels end at byte {offset + length}, it has {file_bytes} bytes")
    return StoredPixels(offset, length, syntax[0], file_bytes)


def has_mark(file: BinaryIO) -> bool:
    """Tell whether a file begins as DICOM does, and pass that."""
    return file.read(_PREAMBLE + len(_MARK))[_PREAMBLE:] == _MARK


def start_of_elements(file: BinaryIO) -> tuple[ByteOrder, bool] | None:
    """Return byte order and style of the elements that follow the file's own, which are passed.

    None where it is no DICOM file, or compressed. The style is whether they name their types.
    """
    if not has_mark(file):
        return None
    syntax = None
    for _ in range(_MOST_ELEMENTS):
        place = file.tell()
        element = read_element(file, "<", is_explicit=True)
        if element is None or element.tag[0] != _SYNTAX[0]:
            file.seek(place)
            return syntax
        if element.tag == _SYNTAX and element.length <= _LONGEST_SYNTAX:
            syntax = _SYNTAXES.get(file.read(element.length).rstrip(b"\0 "))
        else:
            file.seek(element.length, 1)
    return None


def _find_voxels(
    file: BinaryIO, order: str, is_explicit: bool, file_bytes: int
) -> tuple[int, int] | None:
    depth, last = 0, (0, 0)
    for _ in range(_MOST_ELEMENTS):
        element = read_element(file, order, is_explicit=is_explicit)
        if element is None:
            return None
        tag, length = element.tag, element.length
        if depth == 0:
            if tag <= last or tag[0] == ITEM[0]:
                return None
            last = tag
            if tag == _VOXELS:
                return None if length == UNDEFINED else (file.tell(), length)
        if tag == END_OF_SEQUENCE:
            depth -= 1
        elif length == UNDEFINED and tag != ITEM:
            if element.kind == b"UN":  # what is in it has a style of its own
                return None
            depth += 1
        elif length != UNDEFINED and tag != _END_OF_ITEM:
            if file.tell() + length > file_bytes:
                return None
            file.seek(length, 1)
    return None


def read_element(file: BinaryIO, order: str, *, is_explicit: bool) -> _Element | None:
    """Return the next element, its value not read; None at the end or where it is none."""
    head = file.read(8)
    if len(head) < 8:
        return None
    group, number, length = struct.unpack(order + "HHI", head)
    tag = group, number
    if not is_explicit or group == ITEM[0]:
        return _Element(tag, b"", length)
    kind = head[4:6]
    if kind in _SHORT:
        return _Element(tag, kind, struct.unpack(order + "H", head[6:])[0])
    rest = file.read(4)
    if kind not in _LONG or len(rest) < 4:
        return None
    return _Element(tag, kind, struct.unpack(order + "I", rest)[0])
