"""Decoding gzip straight into the memory where the voxels will stay.

isal (Intel's ISA-L) decodes two to three times faster than zlib. Its reader writes into the
buffer it is given, so that a volume is decoded without a second copy; it checks the
checksum of every member and lets other threads run meanwhile.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, cast

from isal.isal_zlib import _GzipReader

from voxloom.io._failures import damaged, reading

MOST_BYTES_PER_BYTE: Final = 1040
"""Deflate cannot expand a byte to more than 1032."""

_MAGIC: Final = b"\x1f\x8b"
_INPUT_BYTES: Final = 1 << 18
_FIRST_INPUT_BYTES: Final = 1 << 12
_SKIP_BYTES: Final = 1 << 16
_PIECE_BYTES: Final = 1 << 18  # stays in the second-level cache until it was used
_LARGE_BYTES: Final = 1 << 26
_LENGTH_BYTES: Final = 4


class _Stream(Protocol):
    def readinto(self, buffer: memoryview, /) -> int: ...


class _Watched(io.RawIOBase):
    """A file that shows what is read of it."""

    def __init__(self, file: io.RawIOBase, watch: Callable[[memoryview], None]) -> None:
        self._file, self._watch = file, watch

    def readinto(self, buffer: Any, /) -> int | None:
        count = self._file.readinto(buffer)
        self._watch(memoryview(buffer)[:count])
        return count


def is_gzip(path: str) -> bool:
    """Whether the file begins as a gzip stream does, whatever its name says."""
    with reading(path), Path(path).open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_first_bytes(path: str, count: int) -> bytes:
    """Return up to `count` first bytes of what the file holds, decoded if it is gzip.

    Raises
    ------
    VolumeReadError
        If the stream is damaged before that.
    """
    with reading(path), Path(path).open("rb", buffering=0) as file:
        first = file.read(count)
        if not first.startswith(_MAGIC):
            return first
        file.seek(0)
        buffer = bytearray(count)
        stream = _GzipReader(file, _FIRST_INPUT_BYTES)
        return bytes(buffer[: _fill(stream, memoryview(buffer))])


def decode_into(
    path: str,
    skip: int,
    buffer: memoryview,
    *,
    to_the_end: bool,
    watch: Callable[[memoryview], None] | None = None,
) -> None:
    """Fill `buffer` with the decoded bytes that follow the first `skip`.

    Parameters
    ----------
    path : str
        A gzip file of one or several members.
    skip : int
        Number of decoded bytes to pass over.
    buffer : memoryview of bytes, writable
        Filled completely.
    to_the_end : bool
        Whether the stream must end here: only then is the last checksum read.
    watch : callable, optional
        Is given the bytes of the file as they are read: all of them, with `to_the_end`.

    Raises
    ------
    VolumeReadError
        If the stream is damaged, too short, or, with `to_the_end`, too long.
    """
    for _ in decode_in_turn(path, skip, [buffer], to_the_end=to_the_end, watch=watch):
        pass


def decode_in_turn(
    path: str,
    skip: int,
    buffers: Sequence[memoryview],
    *,
    to_the_end: bool = True,
    watch: Callable[[memoryview], None] | None = None,
) -> Iterator[memoryview]:
    """Fill one buffer after the other and yield each; they may lie in the same memory.

    Parameters and errors are those of `decode_into`.
    """
    expected = skip + sum(map(len, buffers))
    with reading(path), Path(path).open("rb", buffering=0) as file:
        read = file if watch is None else cast("BinaryIO", _Watched(file, watch))
        stream = _GzipReader(read, _INPUT_BYTES)
        done = _pass_over(stream, skip)
        for buffer in buffers:
            count = _fill(stream, buffer) if done >= skip else 0
            done += count
            if count < len(buffer):
                raise damaged(path, f"expected {expected} bytes once decompressed, got {done}")
            yield buffer
        if to_the_end and stream.readinto(memoryview(bytearray(1))):
            raise damaged(path, f"expected {expected} bytes once decompressed, got more")


def _pass_over(stream: _Stream, count: int) -> int:
    """Decode so many bytes, and return how many there were."""
    scratch = memoryview(bytearray(min(count, _SKIP_BYTES)))
    done = 0
    while done < count and (got := _fill(stream, scratch[: min(count - done, _SKIP_BYTES)])):
        done += got
    return done


def decoded_pieces(path: str, count: int) -> Iterator[memoryview]:
    """Yield all decoded bytes, piece by piece, in memory that the next piece overwrites.

    Parameters
    ----------
    path : str
        A gzip file of one or several members.
    count : int
        How many bytes it holds once decoded.

    Raises
    ------
    VolumeReadError
        If the stream is damaged, too short or too long.
    """
    buffer = memoryview(bytearray(_PIECE_BYTES))
    left = count
    with reading(path), Path(path).open("rb", buffering=0) as file:
        stream = _GzipReader(file, _INPUT_BYTES)
        while got := stream.readinto(buffer):
            left -= got
            if left < 0:
                raise damaged(path, f"expected {count} bytes once decompressed, got more")
            yield buffer[:got]
    if left:
        raise damaged(path, f"expected {count} bytes once decompressed, got {count - left}")


def check_length(path: str, count: int, *, small_too: bool = False) -> None:
    """Raise unless a file holds `count` bytes once decoded, before memory for many is taken.

    The last bytes of a file of one member say its length. Where they say another, the file has
    several members, or is padded, damaged or not what its header says: it is decoded once, into
    memory of one piece, to know. Files that take little memory are looked at with `small_too`.

    Raises
    ------
    VolumeReadError
        If the stream is damaged, too short or too long.
    """
    if count < _LARGE_BYTES and not small_too:
        return
    with reading(path), Path(path).open("rb", buffering=0) as file:
        file.seek(-_LENGTH_BYTES, io.SEEK_END)
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if length != count % (1 << 8 * _LENGTH_BYTES):
        for _ in decoded_pieces(path, count):
            pass


def _fill(stream: _Stream, buffer: memoryview) -> int:
    filled = 0
    while filled < len(buffer):
        count = stream.readinto(buffer[filled:])
        if not count:
            break
        filled += count
    return filled
