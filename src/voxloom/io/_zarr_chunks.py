"""A thin reader of Zarr chunks on a local disk: read or mapped, decoded where it is needed.

It knows what most stores of volumes use: Blosc, Zstandard or nothing, with or without shards.
For boxes of some dozen chunks it takes about half the time of the libraries, which plan and
schedule each of them; whatever else an array is stored with is left to those.
"""

from __future__ import annotations

import itertools
import math
import os
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._extras import import_extra
from voxloom.io._failures import damaged, reading
from voxloom.io._library import FileStamp
from voxloom.io._mapping import map_file
from voxloom.io._prefetch import are_resident
from voxloom.io._source import Array
from voxloom.io._spans import is_on_network
from voxloom.io._zarr_metadata import ZarrArray

_CACHED_INDICES: Final = 1024
_MOST_MAPPED: Final = 2**28
_MISSING: Final = 2**64 - 1
_ENTRY_BYTES: Final = 16
_CHECKSUM_BYTES: Final = 4
_BLOSC_HEADER: Final = 16
_ZSTD_HEADER: Final = 6
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_SIZES: Final = struct.Struct("<3I")  # unpacked, of a block, packed
_POLYNOMIAL: Final = 0x82F63B78
_Place = tuple[int, ...]
_Parts = tuple[list[int], list[slice], list[slice]]
_Bytes = bytes | memoryview
_Decode = Callable[[str, _Bytes, Array], None]


def read_chunks(array: ZarrArray, places: tuple[slice, ...]) -> Array:
    """Return a box of a local array, C-contiguous, in its own axes and byte order.

    Parameters
    ----------
    array : ZarrArray
        One with a codec, in a folder.
    places : tuple of slice
        Bounds of the box, which lies inside the array.

    Raises
    ------
    VolumeReadError
        If a chunk or an index is damaged.
    MissingExtraError
        If numcodecs is needed and not installed.
    """
    out: Array = np.empty([place.stop - place.start for place in places], array.dtype)
    decoded = np.empty(array.chunks, array.dtype)
    decode = _decoder(array)
    axes = [_parts(*of_axis) for of_axis in zip(array.chunks, array.shard, places, strict=True)]
    for shard in itertools.product(*axes):
        parts = [axis[n] for axis, n in zip(axes, shard, strict=True)]
        chunks, sources, targets = (
            list(itertools.product(*axis)) for axis in zip(*parts, strict=True)
        )
        path = str(Path(array.path) / array.key(shard))
        with reading(path):
            packed = _packed(array, path, chunks)
            for chunk, source, target in zip(packed, sources, targets, strict=True):
                if chunk is None:
                    out[target] = array.fill
                else:
                    decode(path, chunk, decoded)
                    out[target] = decoded[source]
    return out


def _parts(chunk: int, shard: int, wanted: slice) -> dict[int, _Parts]:
    """Return, by the shards along an axis, their chunks there, and their parts in chunk and box."""
    found: dict[int, _Parts] = {}
    for n in range(wanted.start // chunk, -(-wanted.stop // chunk)):
        ini, fin = max(n * chunk, wanted.start), min((n + 1) * chunk, wanted.stop)
        chunks, sources, targets = found.setdefault(n * chunk // shard, ([], [], []))
        chunks.append(n)
        sources.append(slice(ini - n * chunk, fin - n * chunk))
        targets.append(slice(ini - wanted.start, fin - wanted.start))
    return found


def _packed(array: ZarrArray, path: str, chunks: list[_Place]) -> Iterator[_Bytes | None]:
    """Yield the bytes of chunks of one shard, None for those that are not there."""
    try:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        yield from [None] * len(chunks)
        return
    try:
        now = os.fstat(file)
        if not array.is_sharded:
            yield os.pread(file, now.st_size, 0)
            return
        stamp = FileStamp(now.st_ino, now.st_size, now.st_mtime_ns, 0)
        counts = tuple(a // b for a, b in zip(array.shard, array.chunks, strict=True))
        index = _index(path, stamp, counts)
        spans = index[tuple((np.array(chunks) % counts).T)].tolist()
        if _may_be_mapped(array, file, path, spans):
            mapped = map_file(path, now.st_ino, now.st_size, now.st_mtime_ns)
            yield from _mapped_spans(memoryview(mapped), spans)
        else:
            yield from _read_spans(file, spans)
    finally:
        os.close(file)


def _may_be_mapped(array: ZarrArray, file: int, path: str, spans: list[list[int]]) -> bool:
    """Tell whether a shard is in memory, as far as a few probes say, and may count as ours.

    The system counts mapped pages as the process's memory: not those of large volumes.
    """
    offsets = [offset for offset, _ in spans if offset != _MISSING]
    volume = math.prod(array.shape) * array.dtype.itemsize
    if not offsets or volume > _MOST_MAPPED or is_on_network(path):
        return False
    return are_resident(file, offsets)


def _mapped_spans(mapped: memoryview, spans: list[list[int]]) -> Iterator[memoryview | None]:
    """Yield what lies in each span of a file that is in memory: to read it is to copy it."""
    for offset, length in spans:
        yield None if offset == _MISSING else mapped[offset : offset + length]


def _read_spans(file: int, spans: list[list[int]]) -> Iterator[memoryview | None]:
    """Yield what lies in each span; those that touch, as neighbours do, are read at once."""
    number, count = 0, len(spans)
    room = np.empty(0, np.uint8)  # used again and again: it stays in the processor's cache
    while number < count:
        offset, length = spans[number]
        if offset == _MISSING:
            yield None
            number += 1
            continue
        last, end = number + 1, offset + length
        while last < count and spans[last][0] == end:
            end += spans[last][1]
            last += 1
        if len(room) < end - offset:
            room = np.empty(end - offset, np.uint8)
        there = os.preadv(file, [room[: end - offset].data], offset)
        for start, size in spans[number:last]:
            yield room[start - offset : min(start - offset + size, there)].data
        number = last


@lru_cache(maxsize=_CACHED_INDICES)
def _index(path: str, stamp: FileStamp, counts: tuple[int, ...]) -> npt.NDArray[np.uint64]:
    """Return offset and length of each chunk in a shard, all inside the file."""
    length = math.prod(counts) * _ENTRY_BYTES
    start = stamp.file_bytes - length - _CHECKSUM_BYTES
    if start < 0:
        raise damaged(path, f"has {stamp.file_bytes} bytes, its index alone would need {length}")
    with Path(path).open("rb") as file:
        file.seek(start)
        stored = file.read(length + _CHECKSUM_BYTES)
    if crc32c(stored[:length]) != int.from_bytes(stored[length:], "little"):
        raise damaged(path, "the checksum of the shard's index does not match")
    index = np.frombuffer(stored[:length], "<u8").reshape(*counts, 2)
    there = index[index[..., 0] != _MISSING].astype(object)
    if len(there) and max(there.sum(axis=1)) > start:
        raise damaged(path, "the shard's index points beyond the end of the file")
    return index


def _decoder(array: ZarrArray) -> _Decode:
    """Return what decodes a chunk of a file into an array of the chunk's shape."""
    expected = array.chunk_bytes
    if array.codec == "raw":
        return _copy_raw
    decompress = _decompressor(str(array.codec))
    check = _check_blosc if array.codec == "blosc" else _check_zstd

    def decode(path: str, packed: _Bytes, out: Array) -> None:
        check(path, packed, expected)
        try:
            decompress(packed, out)
        except (RuntimeError, ValueError, TypeError) as error:
            raise damaged(path, f"a chunk cannot be decoded, {error}") from error

    return decode


def _copy_raw(path: str, packed: _Bytes, out: Array) -> None:
    if len(packed) != out.nbytes:
        raise damaged(path, f"a chunk has {len(packed)} bytes, not {out.nbytes}")
    out.reshape(-1).view(np.uint8)[:] = np.frombuffer(packed, np.uint8)


def _check_blosc(path: str, packed: _Bytes, expected: int) -> None:
    # The library trusts the sizes that the header says.
    there = len(packed)
    unpacked, _, said = _SIZES.unpack_from(packed, 4) if there >= _BLOSC_HEADER else (0, 0, 0)
    if unpacked != expected or said != there:
        raise damaged(
            path,
            f"a chunk of {there} bytes says it has {said} and unpacks to {unpacked}, not to "
            f"{expected}",
        )


def _check_zstd(path: str, packed: _Bytes, expected: int) -> None:
    # Where a frame unpacks to less, the library leaves the rest as it was.
    if len(packed) < _ZSTD_HEADER or packed[:4] != _ZSTD_MAGIC:
        raise damaged(path, f"a chunk of {len(packed)} bytes is no zstd frame")
    facts = packed[4]
    is_single = bool(facts >> 5 & 1)
    width = (int(is_single), 2, 4, 8)[facts >> 6]
    first = 5 + (not is_single) + (0, 1, 2, 4)[facts & 3]
    if not width:  # it does not say
        return
    unpacked = int.from_bytes(packed[first : first + width], "little") + (256 if width == 2 else 0)
    if unpacked != expected:
        raise damaged(path, f"a chunk unpacks to {unpacked} bytes, not to {expected}")


@lru_cache(maxsize=2)
def _decompressor(name: str) -> Any:
    return getattr(codecs(), name).decompress


@lru_cache(maxsize=1)
def codecs() -> Any:
    """Return numcodecs, which packs and unpacks chunks.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    library = import_extra("numcodecs", "zarr")
    # One thread a call, as zarr-python asks for too: the library's own pool brings a lock between
    # processes, of which the end of a worker leaves a warning.
    library.blosc.use_threads = False
    return library


@lru_cache(maxsize=1)
def _remainders() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ _POLYNOMIAL if byte & 1 else byte >> 1
        table.append(byte)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum of some bytes, as the indices of shards carry it.

    Examples
    --------
    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    table, value = _remainders(), 0xFFFFFFFF
    for byte in data:
        value = table[(value ^ byte) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF
