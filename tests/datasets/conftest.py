"""A web server on this machine, with the good and bad habits of real ones."""

from __future__ import annotations

import io
import re
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nibabel
import numpy as np
import pytest

MEMBERS_1998 = (
    "colin27_t1_tal_lin.nii",
    "colin27_t1_tal_lin_headmask.nii",
    "colin27_t1_tal_lin_mask.nii",
)
MEMBERS_2008 = tuple(f"colin27_{name}_tal_hires.nii" for name in ("t1", "t2", "pd", "cls"))


@dataclass
class Site:
    """What the server holds, how it behaves, and what it was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    knows_ranges: bool = True
    etag: str | None = '"first"'
    cuts: list[int] = field(default_factory=list)
    announces_length: bool = True
    requests: list[tuple[str, str | None, int]] = field(default_factory=list)
    url: str = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name = handler.path.removeprefix("/")
        asked = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        if name not in self.files:
            self.requests.append((name, asked, 404))
            handler.send_error(404)
            return
        content, begin, status = self.files[name], 0, 200
        if asked and self.knows_ranges and condition in (None, self.etag):
            match = re.fullmatch(r"bytes=(\d+)-", asked)
            assert match is not None
            begin, status = int(match[1]), 206
        if status == 206 and begin >= len(content):
            status = 416
        self.requests.append((name, asked, status))
        self._send(handler, status, begin, content)

    def _send(
        self, handler: BaseHTTPRequestHandler, status: int, begin: int, content: bytes
    ) -> None:
        handler.send_response(status)
        if status == 416:
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if status == 206:
            span = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            handler.send_header("Content-Range", span)
        if self.announces_length:
            handler.send_header("Content-Length", str(len(content) - begin))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.end_headers()
        stop = self.cuts.pop(0) if self.cuts else len(content)
        handler.wfile.write(content[begin : begin + stop])


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "*")
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VOXLOOM_CACHE", str(folder))
    return folder


def volume_bytes(value: int) -> bytes:
    voxels = np.full((5, 6, 7), value, dtype=np.uint8)
    voxels[2, 3, 4] = 0
    return bytes(nibabel.Nifti1Image(voxels, np.eye(4)).to_bytes())


def zip_bytes(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def colin_1998() -> bytes:
    """An archive with the layout of the real one, of small volumes."""
    return zip_bytes({name: volume_bytes(i + 1) for i, name in enumerate(MEMBERS_1998)})


@pytest.fixture
def colin_2008() -> bytes:
    """An archive with the layout of the real one, of small volumes."""
    return zip_bytes({name: volume_bytes(i + 1) for i, name in enumerate(MEMBERS_2008)})


@pytest.fixture
def colin_with_a_text_file() -> bytes:
    """An archive of which one member is no volume."""
    contents = [volume_bytes(1), b"not a volume" * 100, volume_bytes(1)]
    return zip_bytes(dict(zip(MEMBERS_1998, contents, strict=True)))
