"""A blosc2 array on a remote store: its chunks are found in its frame, and asked for by range.

The library opens frames by name or whole. So the frame's header, index and trailer are read here,
as c-blosc2's README_CFRAME_FORMAT lays them out; the chunks that a box touches are put into an
array in memory, and the library decodes them from there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Final, NamedTuple, final

import numpy as np

from voxloom._errors import VolumeReadError
from voxloom._extras import import_extra
from voxloom.io._failures import damaged
from voxloom.io._object_file import ObjectFile, Span
from voxloom.io._source import Array

_MAGIC: Final = b"b2frame"
FIRST_BYTES: Final = 32
_TRAILER_END_BYTES: Final = 23
"""Type and length of the trailer, then a fingerprint: how every frame ends."""

_MOST_HEADER_BYTES: Final = 1 << 20
_MOST_TRAILER_BYTES: Final = 1 << 26
_MOST_INDEX_BYTES: Final = 1 << 27
_MOST_VALUE_BYTES: Final = 1 << 20
_CHUNK_HEADER: Final = struct.Struct("<4B3i")
_CHUNK_HEADER_BYTES: Final = 32
_MOST_FILTERS: Final = 6
_NOT_A_NUMBER: Final = 2
"""What the index says of a chunk of NaN; zeros (1) and what was never written (4) are zeros."""


def check_first_bytes(path: str, first: bytes, file_bytes: int) -> None:
    """Raise unless a file of this length begins as a frame of the same length.

    Raises
    ------
    VolumeReadError
        If it does not.
    """
    if first[2:9] != _MAGIC or len(first) < FIRST_BYTES:
        raise damaged(path, "does not begin as a blosc2 array in one file does")
    frame_bytes = int.from_bytes(first[16:24], "big")
    if frame_bytes != file_bytes:
        raise damaged(path, f"says it has {frame_bytes} bytes, it has {file_bytes}")


def count_chunks(shape: Sequence[int], chunks: Sequence[int]) -> list[int]:
    """Return how many chunks an array has along each axis.

    Examples
    --------
    >>> count_chunks((1, 20, 16), (1, 8, 8))
    [1, 3, 2]
    """
    return [-(-n // chunk) for n, chunk in zip(shape, chunks, strict=True)]


class _Chunk(NamedTuple):
    """What the header of a chunk says."""

    item_bytes: int
    decoded_bytes: int
    block_bytes: int
    stored_bytes: int


@final
class RemoteFrame:
    """A ``.b2nd`` array of which ranges are asked for; a box costs the chunks that it touches.

    Parameters
    ----------
    blosc2 : module
        The library.
    file : ObjectFile
        Where the frame lies.

    Raises
    ------
    VolumeReadError
        If it is no whole frame of an array in one file.
    """

    def __init__(self, blosc2: Any, file: ObjectFile) -> None:
        self._blosc2 = blosc2
        self._file = file
        header = self._header()
        self.filters = tuple(header[12][1][:_MOST_FILTERS])
        self._start, self._index_start = header[1], header[1] + header[5]
        self._read_layout(dict(zip(header[13][1], header[13][2], strict=True)))
        trailer_start, self._values = self._trailer()
        self._offsets = self._index(trailer_start)
        self._sorted = np.unique(self._offsets[self._offsets >= 0])
        if len(self._sorted) and self._start + int(self._sorted[-1]) >= self._index_start:
            raise self._damaged("has an index that leads out of its chunks")

    def value(self, name: str, default: Any) -> Any:
        """Return what the variable-length metadata hold under `name`, else `default`."""
        packed = self._values.get(name.encode())
        if packed is None:
            return default
        if self._chunk(packed).decoded_bytes > _MOST_VALUE_BYTES:
            raise self._damaged(f"has an {name} of more than {_MOST_VALUE_BYTES} bytes")
        # An array that takes the value unpacks it as the library does: it knows more than numbers.
        kept = self._blosc2.zeros((1,))  # its schunk does not outlive it
        kept.schunk.vlmeta.set_vlmeta(name, self._blosc2.decompress2(packed))
        return kept.schunk.vlmeta[name]

    def __getitem__(self, places: tuple[slice, ...]) -> Array:
        """Return the voxels of a box."""
        firsts = [place.indices(n)[0] for place, n in zip(places, self.shape, strict=True)]
        stops = [place.indices(n)[1] for place, n in zip(places, self.shape, strict=True)]
        grid = [
            range(first // chunk, -(-stop // chunk))
            for first, stop, chunk in zip(firsts, stops, self.chunks, strict=True)
        ]
        shape = [len(along) * chunk for along, chunk in zip(grid, self.chunks, strict=True)]
        touched = self._empty(shape)
        for number, chunk in self._chunks_at(grid):
            touched.schunk.update_chunk(number, chunk)
        corners = [along[0] * chunk for along, chunk in zip(grid, self.chunks, strict=True)]
        inside = zip(firsts, stops, corners, strict=True)
        voxels = touched[tuple(slice(i - corner, j - corner) for i, j, corner in inside)]
        return np.asarray(voxels)

    def _chunks_at(self, grid: list[range]) -> Iterator[tuple[int, bytes]]:
        """Yield the chunks of a grid that are not zeros, with their numbers in that grid."""
        counts = count_chunks(self.shape, self.chunks)
        at: dict[Span, list[int]] = {}
        for number, place in enumerate(product(*grid)):
            offset = int(self._offsets[np.ravel_multi_index(place, counts)])
            if offset >= 0:
                at.setdefault(self._span(offset), []).append(number)
            elif (offset >> 56) & 0x7F == _NOT_A_NUMBER:
                yield number, self._not_a_number()
        for span, content in self._file.parts(at):
            for number in at[span]:
                yield number, self._checked(content)

    def _span(self, offset: int) -> Span:
        """Return where a chunk lies: up to the next one, as its own header says how long it is."""
        following = int(np.searchsorted(self._sorted, offset, side="right"))
        start = self._start + offset
        last = following == len(self._sorted)
        stop = self._index_start if last else self._start + int(self._sorted[following])
        # What was written anew lies at the end, and leaves a gap; none is larger than its voxels.
        return start, min(stop - start, self._chunk_bytes + _CHUNK_HEADER_BYTES)

    def _checked(self, content: bytes) -> bytes:
        chunk = self._chunk(content)
        expected = (self.dtype.itemsize, self._chunk_bytes, self._block_bytes)
        if chunk[:3] != expected:
            raise self._damaged(
                f"has a chunk of {chunk[1]} bytes in blocks of {chunk[2]} with items of {chunk[0]}"
                f", expected {expected[1]}, {expected[2]} and {expected[0]}"
            )
        return content[: chunk.stored_bytes]

    def _chunk(self, content: bytes) -> _Chunk:
        if len(content) < _CHUNK_HEADER_BYTES:
            raise self._damaged(f"has a chunk of {len(content)} bytes, fewer than its header")
        _, _, _, item, decoded, block, stored = _CHUNK_HEADER.unpack_from(content)
        if decoded < 0 or not _CHUNK_HEADER_BYTES <= stored <= len(content):
            raise self._damaged(f"has a chunk of {stored} bytes where there are {len(content)}")
        return _Chunk(item, decoded, block, stored)

    def _empty(self, shape: list[int]) -> Any:
        threads = {"nthreads": 1}
        chunks, blocks = self.chunks, self._blocks
        options = {"chunks": chunks, "blocks": blocks, "cparams": threads, "dparams": threads}
        return self._blosc2.zeros(shape, dtype=self.dtype, **options)

    def _not_a_number(self) -> bytes:
        options = {"dtype": self.dtype, "chunks": self.chunks, "blocks": self._blocks}
        array = self._blosc2.nans(self.chunks, **options)
        return bytes(array.schunk.get_chunk(0))

    def _header(self) -> list[Any]:
        first = self._part(0, min(FIRST_BYTES, self._file.size))
        check_first_bytes(self._file.url, first, self._file.size)
        header_bytes = struct.unpack_from(">i", first, 11)[0]
        if first[26] & 0xF:
            raise VolumeReadError(
                f"{self._file.url}: its chunks lie in files of their own; write it with "
                "contiguous=True, or copy the folder and open it from there"
            )
        if not FIRST_BYTES <= header_bytes <= min(_MOST_HEADER_BYTES, self._file.size):
            raise self._damaged(f"says its header has {header_bytes} bytes")
        header = self._unpacked(self._part(0, header_bytes), 14, "header")
        if not isinstance(header[13], list) or len(header[13]) != 3:
            raise self._damaged("has no metadata in its header")
        if not isinstance(header[12], tuple) or not isinstance(header[12][1], bytes):
            raise self._damaged("has no filters in its header")
        if header[1] != header_bytes or not 0 <= header[5] <= self._file.size - header_bytes:
            raise self._damaged(f"says its chunks have {header[5]} bytes")
        return header

    def _read_layout(self, metadata: dict[bytes, bytes]) -> None:
        if b"b2nd" not in metadata:
            raise VolumeReadError(f"{self._file.url}: expected an array, it holds plain bytes")
        _, axes, shape, chunks, blocks, kind, name = self._unpacked(metadata[b"b2nd"], 7, "shape")
        if kind != 0:
            raise self._damaged(f"has elements of a type that is not NumPy's, {name!r}")
        self.shape, self.chunks = tuple(map(int, shape)), tuple(map(int, chunks))
        self._blocks = tuple(map(int, blocks))
        self.dtype = np.dtype(name.decode())
        lengths = [len(self.shape), len(self.chunks), len(self._blocks)]
        fits = all(
            n >= 0 and 0 < block <= chunk
            for n, chunk, block in zip(self.shape, self.chunks, self._blocks, strict=False)
        )
        if lengths != [axes] * 3 or not fits:
            raise self._damaged(f"has shape {shape}, in chunks {chunks}, in blocks {blocks}")
        padded = (-(-c // b) * b for c, b in zip(self.chunks, self._blocks, strict=True))
        self._chunk_bytes = prod(padded) * self.dtype.itemsize
        self._block_bytes = prod(self._blocks) * self.dtype.itemsize

    def _trailer(self) -> tuple[int, dict[bytes, bytes]]:
        """Return where the trailer starts, and the variable-length metadata, packed."""
        end = self._part(max(0, self._file.size - _TRAILER_END_BYTES), _TRAILER_END_BYTES)
        length = int.from_bytes(end[1:5], "big")
        start = self._file.size - length
        if length > _MOST_TRAILER_BYTES or start < self._index_start:
            raise self._damaged(f"says its trailer has {length} bytes")
        values = self._unpacked(self._part(start, length), 4, "trailer")[1]
        return start, dict(zip(values[1], values[2], strict=True))

    def _index(self, trailer_start: int) -> Array:
        """Return where each chunk lies after the header, in bytes, negative where none does."""
        counts = count_chunks(self.shape, self.chunks)
        expected = 8 * prod(counts)
        if expected > _MOST_INDEX_BYTES:
            raise VolumeReadError(
                f"{self._file.url}: it has {prod(counts)} chunks, more than an index of "
                f"{_MOST_INDEX_BYTES} bytes holds; store it in larger chunks"
            )
        length = trailer_start - self._index_start
        if length > expected + 2 * _CHUNK_HEADER_BYTES + 4 * prod(counts):
            raise self._damaged(f"has an index of {length} bytes for {prod(counts)} chunks")
        packed = self._part(self._index_start, length)
        if self._chunk(packed).decoded_bytes != expected:
            raise self._damaged(
                f"has an index of {self._chunk(packed).decoded_bytes} bytes, expected {expected}"
            )
        return np.frombuffer(self._blosc2.decompress2(packed), "<i8")

    def _unpacked(self, packed: bytes, count: int, what: str) -> list[Any]:
        msgpack = import_extra("msgpack", "zarr")
        values = msgpack.unpackb(packed, raw=True)
        if not isinstance(values, list) or len(values) != count:
            raise self._damaged(f"has no {what} as this library writes it")
        return values

    def _part(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        return self._file.read(length) or b""

    def _damaged(self, what: str) -> VolumeReadError:
        return damaged(self._file.url, what)
