"""Unpacking the zlib stream of a MetaImage within the bytes that its header declares.

ITK unpacks a damaged stream past the end of its buffer, which ends the process.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from isal import isal_zlib

from voxloom.io._failures import damaged, reading
from voxloom.io._raw_layout import StoredVoxels
from voxloom.io._source import Array

_ZLIB_OR_GZIP = 47


def inflate(stored: StoredVoxels, voxel_bytes: int) -> Array:
    """Return `voxel_bytes` unpacked bytes, checked against the checksum of the stream.

    Raises
    ------
    VolumeReadError
        If the stream is damaged, or unpacks to more or less than that.
    """
    with reading(stored.path):
        with Path(stored.path).open("rb") as file:
            file.seek(max(stored.offset, 0))
            packed = file.read()
        unpacker = isal_zlib.decompressobj(wbits=_ZLIB_OR_GZIP)
        voxels = unpacker.decompress(packed, voxel_bytes + 1)
    if len(voxels) != voxel_bytes or not unpacker.eof:
        more = "more" if len(voxels) > voxel_bytes else f"{len(voxels)}"
        raise damaged(stored.path, f"expected {voxel_bytes} bytes once unpacked, got {more}")
    return np.frombuffer(voxels, np.uint8)
