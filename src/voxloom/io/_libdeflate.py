"""Decoding a whole gzip file at once with libdeflate, where it is installed.

libdeflate takes about 0.6 of isal's time, but has no stream: all that is compressed is read and
all that it holds is decoded, or nothing. Whatever is unusual is left to `decode_into`, whose
errors say what is wrong.
"""

from __future__ import annotations

import functools
from pathlib import Path
from types import ModuleType
from typing import Any

from voxloom._errors import MissingExtraError
from voxloom._extras import import_extra
from voxloom.io._failures import reading


def decode_at_once(path: str, count: int) -> Any:
    """Return the `count` bytes that a gzip file holds, or None.

    None means that libdeflate is not installed, or that the file is damaged, has several
    members, or does not hold exactly `count` bytes.
    """
    deflate = _library()
    if deflate is None:
        return None
    with reading(path):
        compressed = Path(path).read_bytes()
    try:
        decoded = deflate.gzip_decompress(compressed, count)
    except deflate.DeflateError:
        return None
    # The library stops after the first member: if it is the only one, the file ends with its
    # checksum and size.
    size, checksum = count % 2**32, deflate.crc32(decoded)
    trailer = checksum.to_bytes(4, "little") + size.to_bytes(4, "little")
    return decoded if len(decoded) == count and compressed.endswith(trailer) else None


@functools.cache
def _library() -> ModuleType | None:
    try:
        return import_extra("deflate", "fast")
    except MissingExtraError:
        return None
