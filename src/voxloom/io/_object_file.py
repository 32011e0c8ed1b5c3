"""A file on a remote store that can be read anywhere: ranges are asked for, never the whole."""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from voxloom.io._object_store import read_range

_BLOCK_BYTES: Final = 1 << 14
_MOST_BLOCKS: Final = 64
_SMALL_BYTES: Final = 1 << 12
"""Reads of no more than this are a file's own records, which lie together: a block is kept."""

_REQUESTS_AT_ONCE: Final = 8
_MOST_FETCHED_BYTES: Final = 1 << 26

Span = tuple[int, int]
"""First byte, and number of bytes."""


class ObjectFile(io.RawIOBase):
    """An object of a store as a file that is read; holds 1 MiB of it, and what was fetched.

    Parameters
    ----------
    url : str
        Such as ``s3://bucket/t1.h5``.
    size : int
        Its bytes.
    """

    def __init__(self, url: str, size: int) -> None:
        self.url = url
        self.size = size
        self._place = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._fetched: list[tuple[int, bytes]] = []

    @contextmanager
    def fetched(self, spans: Iterable[Span]) -> Iterator[None]:
        """Hold spans, asked for side by side, while a library reads them one after the other."""
        wanted = sorted({(start, n) for start, n in spans if start + n <= self.size})
        if len(wanted) < 2 or sum(length for _, length in wanted) > _MOST_FETCHED_BYTES:
            yield
            return
        self._fetched = [(span[0], content) for span, content in self.parts(wanted)]
        try:
            yield
        finally:
            self._fetched = []

    def parts(self, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
        """Yield spans and what they hold, asked for side by side."""
        wanted = list(spans)
        with ThreadPoolExecutor(max(1, min(_REQUESTS_AT_ONCE, len(wanted)))) as pool:
            yield from zip(wanted, pool.map(lambda span: self._ask(*span), wanted), strict=True)

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer from the present place, as far as the object goes."""
        target = memoryview(buffer).cast("B")
        count = max(0, min(len(target), self.size - self._place))
        if count:
            target[:count] = self._held(self._place, count)
            self._place += count
        return count

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self) -> int:
        """Return the present place."""
        return self._place

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read anywhere: yes."""
        return True

    def _held(self, start: int, length: int) -> bytes:
        found = bisect_right(self._fetched, start, key=lambda part: part[0]) - 1
        if found >= 0:
            first, content = self._fetched[found]
            if start + length <= first + len(content):
                return content[start - first : start - first + length]
        if length > _SMALL_BYTES:
            return self._ask(start, length)
        first, last = start // _BLOCK_BYTES, (start + length - 1) // _BLOCK_BYTES
        content = b"".join(self._block(number) for number in range(first, last + 1))
        return content[start - first * _BLOCK_BYTES :][:length]

    def _block(self, number: int) -> bytes:
        block = self._blocks.pop(number, None)
        if block is None:
            start = number * _BLOCK_BYTES
            block = self._ask(start, min(_BLOCK_BYTES, self.size - start))
        self._blocks[number] = block
        if len(self._blocks) > _MOST_BLOCKS:
            self._blocks.popitem(last=False)
        return block

    def _ask(self, start: int, length: int) -> bytes:
        content = read_range(self.url, start, length)
        if len(content) != length:
            raise EOFError(f"asked for {length} bytes at {start}, got {len(content)}")
        return content
