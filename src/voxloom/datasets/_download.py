"""A download that goes on where it broke off, by HTTP ranges (RFC 9110, section 14)."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from voxloom._errors import DownloadError
from voxloom._progress import progress_bar

_CHUNK: Final = 1 << 18
_RANGE_NOT_SATISFIABLE: Final = 416


@dataclass(frozen=True, slots=True)
class Downloader:
    """Fetch a file into `partial` and, once it is whole, move it to where it belongs.

    What came before a connection broke is kept in `partial`, and the next attempt, in this call or
    in another process, asks for the rest only. A server that does not know ranges, or
    whose file has changed since, sends it all again. It is called as pooch calls a
    downloader.

    Parameters
    ----------
    partial : path
        Where bytes are gathered.
    attempts : int
        How often in a row a connection may break without a byte having come.
    timeout_s : float
        How many seconds the server may be silent.
    """

    partial: Path
    attempts: int = 3
    timeout_s: float = 30.0

    def __call__(
        self, url: str, output_file: str | Path, pooch: Any = None, check_only: bool = False
    ) -> None:
        """Fetch `url` to `output_file`.

        Raises
        ------
        DownloadError
            If it cannot be fetched whole.
        """
        failures, most = 0, self._size()
        while failures < self.attempts:
            try:
                if self._fetch_rest(url):
                    self._stamp.unlink(missing_ok=True)
                    self.partial.replace(output_file)
                    return
                reason: object = f"the connection broke after {self._size()} bytes"
            except (OSError, HTTPException) as error:
                reason = error
                if isinstance(error, HTTPError) and error.code < 500:
                    break  # asking again will not help
            failures = 0 if self._size() > most else failures + 1
            most = max(most, self._size())
        raise DownloadError(f"cannot fetch {url}: {reason}")

    @property
    def _stamp(self) -> Path:
        """Where the server's name for the version of the file is kept, beside its first bytes."""
        return self.partial.with_name(self.partial.name + ".etag")

    def _size(self) -> int:
        return self.partial.stat().st_size if self.partial.exists() else 0

    def _fetch_rest(self, url: str) -> bool:
        """Append what the server sends; return whether the file is then whole."""
        begin = self._size()
        request = Request(url, headers=self._headers(begin))
        try:
            response: HTTPResponse = urlopen(request, timeout=self.timeout_s)
        except HTTPError as error:
            error.close()
            if error.code != _RANGE_NOT_SATISFIABLE:
                raise
            if error.headers.get("Content-Range") == f"bytes */{begin}":
                return True  # all of it came last time
            self.partial.unlink(missing_ok=True)  # no beginning of the server's file: start again
            return False
        with response:
            begin, total = _place(response, begin)
            self._stamp.write_text(response.headers.get("ETag", ""))
            with self.partial.open("r+b" if begin else "wb") as file:
                file.seek(begin)
                with _progress(url, begin, total) as bar:
                    while chunk := response.read(_CHUNK):
                        file.write(chunk)
                        if bar is not None:
                            bar.update(len(chunk))
        return total is None or self._size() == total

    def _headers(self, begin: int) -> dict[str, str]:
        if not begin:
            return {}
        etag = self._stamp.read_text() if self._stamp.exists() else ""
        ranged = {"Range": f"bytes={begin}-"}
        return ranged | {"If-Range": etag} if etag.startswith('"') else ranged


def _place(response: HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Return the place of the response's first byte in the file, and the file's length."""
    length = response.headers.get("Content-Length")
    if response.status != 206:
        return 0, None if length is None else int(length)
    given = response.headers.get("Content-Range", "")
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", given)
    if match is None or int(match[1]) != asked:
        raise DownloadError(f"asked for the bytes from {asked} on, the server sent {given!r}")
    return asked, int(match[2])


def _progress(url: str, begin: int, total: int | None) -> AbstractContextManager[Any]:
    return progress_bar(total, url.rsplit("/", 1)[-1], begin=begin, unit="B", scaled=True)
