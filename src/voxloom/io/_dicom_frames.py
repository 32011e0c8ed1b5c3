"""Slope and intercept of an enhanced DICOM file, whose frames keep them in nested sequences.

Layout: DICOM PS3.3, sections C.7.6.16 and C.7.6.16.2.9.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from voxloom.io._dicom_elements import (
    END_OF_SEQUENCE,
    ITEM,
    UNDEFINED,
    StoredPixels,
    read_element,
    start_of_elements,
)
from voxloom.io._failures import reading

_SHARED: Final = (0x5200, 0x9229)
_FRAMES: Final = (0x5200, 0x9230)
_TRANSFORM: Final = (0x0028, 0x9145)
_INTERCEPT: Final = (0x0028, 0x1052)
_SLOPE: Final = (0x0028, 0x1053)
_LONGEST_NUMBER: Final = 16
_MOST_ELEMENTS: Final = 1 << 18

Tag = tuple[int, int]
Found = list[tuple[Tag, Tag, str]]


def frame_scaling(path: str, pixels: StoredPixels, frames: int) -> tuple[str, str] | None:
    """Return the slope and intercept that ITK gives all frames; None where that is not certain.

    Those that frames share come first, else each frame must have the same. Without any the
    texts are empty.

    Parameters
    ----------
    path : str
        A file in which `find_pixels` found `pixels`.
    pixels : StoredPixels
        Where its voxels lie.
    frames : int
        How many frames it has.
    """
    with reading(path), Path(path).open("rb") as file:
        found = _find_numbers(file, pixels.offset)
    if found is None:
        return None
    for group, count in ((_SHARED, 1), (_FRAMES, frames)):
        slopes = [value for where, tag, value in found if (where, tag) == (group, _SLOPE)]
        inters = [value for where, tag, value in found if (where, tag) == (group, _INTERCEPT)]
        if slopes or inters:
            is_one = len(set(slopes)) == len(set(inters)) == 1
            is_everywhere = len(slopes) == len(inters) == count
            return (slopes[0], inters[0]) if is_one and is_everywhere else None
    return "", ""


def _find_numbers(file: BinaryIO, end: int) -> Found | None:
    """Return group, tag and value of each slope and intercept; None where one is out of place."""
    syntax = start_of_elements(file)
    found: Found = []
    group, sequence, depth = (0, 0), (0, 0), 0
    for _ in range(_MOST_ELEMENTS):
        element = read_element(file, syntax[0], is_explicit=syntax[1]) if syntax else None
        if element is None or file.tell() >= end:
            return found if element else None
        tag, length = element.tag, element.length
        if not depth and tag in (_SHARED, _FRAMES, _TRANSFORM):
            group, sequence = (group if tag == _TRANSFORM else tag), tag
        elif not depth and tag in (_SLOPE, _INTERCEPT):
            if sequence != _TRANSFORM or not 0 < length <= _LONGEST_NUMBER:
                return None
            found.append((group, tag, file.read(length).decode("latin-1").strip("\0 ")))
        elif tag == END_OF_SEQUENCE:
            depth = max(depth - 1, 0)
        elif tag[0] != ITEM[0] and length == UNDEFINED:
            depth += 1  # a sequence that is none of these: nothing in it counts
        elif length != UNDEFINED and (depth or tag[0] != ITEM[0]):
            file.seek(length, 1)
    return None
