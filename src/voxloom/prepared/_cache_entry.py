"""An entry of a cache while it is written: voxels piece by piece, then what is small."""

from __future__ import annotations

import mmap
import os
from pathlib import Path
from typing import Any, Final, final

from isal import isal_zlib

from voxloom.prepared._write import RECORD

VOXELS: Final = "voxels.nii"
_PIECE_BYTES: Final = 1 << 18  # a longer write takes pages that no process has used for long


@final
class UnfinishedEntry:
    """A folder with an open voxel file, whose bytes and checksums are noted as they come.

    Parameters
    ----------
    place : Path
        The folder.
    file : int
        Descriptor of its voxel file, which is closed by `close`.
    """

    def __init__(self, place: Path, file: int) -> None:
        self._place, self._file = place, file
        self._bytes = self._crc32 = 0
        self._others: dict[str, bytes] = {}

    def write(self, piece: bytes | memoryview) -> None:
        """Append to the voxel file.

        Raises
        ------
        OSError
            If the disk is full, or cannot be written.
        """
        self._crc32 = isal_zlib.crc32(piece, self._crc32)
        left = memoryview(piece)
        while len(left):
            written = os.pwrite(self._file, left[:_PIECE_BYTES], self._bytes)
            self._bytes, left = self._bytes + written, left[written:]

    def add(self, name: str, content: bytes) -> None:
        """Keep a small file for beside the voxels."""
        self._others[name] = content

    def map(self) -> mmap.mmap:
        """Return what was written to the voxel file, read-only."""
        return mmap.mmap(self._file, self._bytes, access=mmap.ACCESS_READ)

    def facts(self) -> dict[str, dict[str, Any]]:
        """Return size and checksum of each file, as a record keeps them."""
        files = {VOXELS: {"bytes": self._bytes, "crc32": f"{self._crc32:08x}"}}
        for name, content in self._others.items():
            files[name] = {"bytes": len(content), "crc32": f"{isal_zlib.crc32(content):08x}"}
        return files

    def bytes_beside(self) -> int:
        """Return how many bytes `write_beside` writes besides the record."""
        return sum(map(len, self._others.values()))

    def write_beside(self, record: str) -> None:
        """Write the small files and the record."""
        for name, content in self._others.items():
            (self._place / name).write_bytes(content)
        (self._place / RECORD).write_text(record, encoding="utf-8")

    def close(self) -> None:
        """Close the voxel file."""
        os.close(self._file)
