"""Volumes on a server that answers as Google's store does, to either library that asks."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import h5py
import numpy as np
import pytest

from voxloom.io import write_zarr

VOXELS = np.random.default_rng(0).integers(0, 99, (40, 30, 20)).astype(np.int16)
JSON_API = "/storage/v1/b/"
CODE = """
import sys
from voxloom.geometry import Box
from voxloom.io import _tensorstore, open_volume
_tensorstore.is_usable = lambda: sys.argv[1] == "tensorstore"
source = open_volume("gs://volumes/t1.zarr")
print(source.shape, source.read(Box((3, 4, 5), (20, 20, 19))).sum(dtype=int))
stored = open_volume("gs://volumes/t1.h5")
print(stored.shape, stored.read(Box((3, 4, 5), (20, 20, 19))).sum(dtype=int))
try:
    open_volume("gs://volumes/gone.zarr")
except FileNotFoundError as error:
    print(error)
"""


class GoogleHandler(http.server.BaseHTTPRequestHandler):
    """Gives objects by the JSON interface and the XML interface; refuses chunks at first."""

    folder: Path
    asked: list[str]
    refusals: list[int]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(JSON_API):
            path = path.removeprefix(JSON_API).replace("/o/", "/", 1)
        name = unquote(path).lstrip("/")
        self.asked.append(name)
        file = self.folder / name
        if not file.is_file():
            self._answer(404, b"")
        elif "/c/" in name and self.refusals:
            self._answer(self.refusals.pop(), b"")
        else:
            self._answer(200, file.read_bytes())

    def do_HEAD(self) -> None:
        self.do_GET()

    def _answer(self, status: int, content: bytes) -> None:
        part = content
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        if asked and status == 200:
            first, _, last = asked.partition("-")
            start = int(first) if first else len(content) - int(last)
            part = content[start : int(last) + 1 if first and last else None]
            status = 206
        self.send_response(status)
        if status == 206:
            stop = start + len(part) - 1
            self.send_header("Content-Range", f"bytes {start}-{stop}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.send_header("ETag", '"1"')
        self.send_header("x-goog-generation", "1")
        self.send_header("Last-Modified", "Tue, 01 Jan 2030 00:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(part)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, type[GoogleHandler]]]:
    (tmp_path / "volumes").mkdir()
    write_zarr(tmp_path / "volumes" / "t1.zarr", VOXELS, chunk=16)
    with h5py.File(tmp_path / "volumes" / "t1.h5", "w") as file:
        file.create_dataset("t1", data=VOXELS, chunks=(16, 16, 16))
    state = {"folder": tmp_path, "asked": [], "refusals": [503, 429]}
    handler = type("Handler", (GoogleHandler,), state)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(handler)) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", handler
        running.shutdown()
        thread.join()


@pytest.mark.parametrize("library", ["tensorstore", "zarr-python"])
def test_a_box_comes_from_a_bucket_of_google(
    server: tuple[str, type[GoogleHandler]], library: str
) -> None:
    address, handler = server
    key = {"gcs_base_url": address, "disable_oauth": True, "client_email": "", "private_key": ""}
    credentials = {
        "TENSORSTORE_GCS_HTTP_URL": address,
        "GOOGLE_AUTH_TOKEN_FOR_TESTING": "token",
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**key, "private_key_id": ""}),
    }
    command = [sys.executable, "-c", CODE, library]
    environment = {**os.environ, **credentials}
    ran = subprocess.run(
        command, capture_output=True, encoding="utf-8", env=environment, timeout=60, check=True
    )
    read, stored, missed = ran.stdout.splitlines()
    assert read == f"(1, 40, 30, 20) {VOXELS[3:20, 4:20, 5:19].sum(dtype=int)}"
    assert stored == read
    assert missed.startswith("gs://volumes/gone.zarr: there is no Zarr array or group")
    assert handler.refusals == []
    assert any("/c/" in name for name in handler.asked)
