"""What a cached volume is known by: the bytes of its files, and what their headers say."""

from __future__ import annotations

import hashlib
import time
from functools import lru_cache
from pathlib import Path
from typing import Final, final

from isal import isal_zlib

from voxloom.io import (
    ChannelSource,
    DicomSource,
    ItkSource,
    NibabelSource,
    NiftiSource,
    TiffSource,
    VolumeSource,
)

_VERSION: Final = 3
_IN_SEVERAL_FILES: Final = (".hdr", ".img", ".hdr.gz", ".img.gz")
_SETTLED_NS: Final = 2_000_000_000
_DIGITS: Final = 40
_OUTLINE_DIGITS: Final = 8
_KEPT_FACTS: Final = 4096  # one a file; they are asked for at each visit
_PIECE_BYTES: Final = 1 << 18


def files_of(source: VolumeSource) -> tuple[str, ...]:
    """Return the files that a volume is read from; none where that cannot be told.

    A reader of the user may read anything, and a header may name a file that is not known here.

    Examples
    --------
    >>> from voxloom.io import ReaderSource
    >>> files_of(ReaderSource("any", lambda path: ([[1]], None)))
    ()
    """
    if isinstance(source, ChannelSource):
        parts = [files_of(part) for part in source.sources]
        return tuple(file for part in parts for file in part) if all(parts) else ()
    if isinstance(source, DicomSource | ItkSource):
        return tuple(source.files)
    known = isinstance(source, NiftiSource | NibabelSource | TiffSource)
    if not known or str(source.path).lower().endswith(_IN_SEVERAL_FILES):
        return ()
    return (str(source.path),)


def stamp_key(files: tuple[str, ...], facts: str) -> tuple[str, bool]:
    """Return a name for the state of files, and whether a change would surely change it.

    A file that was changed a moment ago may be changed again within a tick of the system's clock.
    """
    digest = hashlib.sha256(f"{_VERSION} {facts}".encode())
    newest = 0
    for file in files:
        now = Path(file).stat()
        state = now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns
        digest.update(f"\0{Path(file).absolute()} {state}".encode())
        newest = max(newest, now.st_ctime_ns)
    return digest.hexdigest()[:_DIGITS], time.time_ns() - newest > _SETTLED_NS


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
