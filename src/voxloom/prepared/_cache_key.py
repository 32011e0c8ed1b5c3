"""What a cached volume is known by: the bytes of its files, and what their headers say."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, final

from isal import isal_zlib

from voxloom.io import ChannelSource, VolumeSource, file_state, files_of

_VERSION: Final = 3
_DIGITS: Final = 40
_OUTLINE_DIGITS: Final = 8
_KEPT_FACTS: Final = 4096  # one a file; they are asked for at each visit
_PIECE_BYTES: Final = 1 << 18


def stamp_key(files: tuple[str, ...], facts: str) -> tuple[str, bool]:
    """Return a name for the state of files, and whether a change would surely change it."""
    state, is_settled = file_state(files, f"{_VERSION} {facts}")
    return state[:_DIGITS], is_settled


def outline_key(files: tuple[str, ...], facts: str) -> str:
    """Return what the name of files with these lengths and facts begins with."""
    lengths = [Path(file).stat().st_size for file in files]
    return hashlib.sha256(f"{_VERSION} {facts} {lengths}".encode()).hexdigest()[:_OUTLINE_DIGITS]


def content_key(files: tuple[str, ...], facts: str) -> str:
    """Return a name for the bytes of files and for `facts`."""
    digest = ContentDigest(files, facts)
    buffer = memoryview(bytearray(_PIECE_BYTES))
    for file in files:
        with Path(file).open("rb", buffering=0) as opened:
            while count := opened.readinto(buffer):
                digest.add(buffer[:count])
        digest.end_file()
    return digest.key()


@final
class ContentDigest:
    """Makes the name of files from their bytes, which may come in pieces of any length.

    A file is told by its size and the checksum of each 256 KB of it: no accident gives another
    file the same, and with the reading it costs half of a hash that withstands whoever tries to.

    Parameters
    ----------
    files : tuple of str
        Their names, in the order in which their bytes will come.
    facts : str
        What else the name depends on.
    """

    def __init__(self, files: tuple[str, ...], facts: str) -> None:
        self._outline = outline_key(files, facts)
        self._digest = hashlib.sha256()
        self._bytes = self._crc32 = 0

    def add(self, piece: memoryview) -> None:
        """Take the next bytes of a file."""
        while len(piece):
            part = piece[: _PIECE_BYTES - self._bytes]
            self._crc32 = isal_zlib.crc32(part, self._crc32)
            self._bytes, piece = self._bytes + len(part), piece[len(part) :]
            if self._bytes == _PIECE_BYTES:
                self._end_piece()

    def end_file(self) -> None:
        """Note that what comes next belongs to the next file."""
        self._end_piece()
        self._digest.update(b"end")

    def key(self) -> str:
        """Return the name."""
        return self._outline + self._digest.hexdigest()[: _DIGITS - _OUTLINE_DIGITS]

    def _end_piece(self) -> None:
        self._digest.update(b"%d %d " % (self._bytes, self._crc32))
        self._bytes = self._crc32 = 0


@lru_cache(maxsize=_KEPT_FACTS)
def facts_of(source: VolumeSource) -> str:
    """Return what a source says of itself, but for where it lies.

    A header that was read before its file was changed gives another key than one read after.
    """
    parts = source.sources if isinstance(source, ChannelSource) else (source,)
    said = [f"{type(part).__name__} {sorted(vars(part).items())!r}" for part in parts]
    text = " ".join(said)
    for file in sorted((*files_of(source), str(source.path)), key=len, reverse=True):
        text = text.replace(file, "")
    return f"{text} {source.dtype} {source.affine.tolist()}"
