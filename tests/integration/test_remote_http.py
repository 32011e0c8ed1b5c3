"""Volumes on a plain HTTP server that fails now and then."""

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.geometry import Box
from voxloom.io import _tensorstore, open_volume, write_zarr
from voxloom.testing import check_reader

VOXELS = np.random.default_rng(0).integers(0, 99, (100, 90, 80)).astype(np.int16)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
BOX = Box((10, 20, 30), (60, 70, 80))


class FaultyHandler(http.server.SimpleHTTPRequestHandler):
    """Serves ranges of files; each fault that is left is used up by one request for a chunk."""

    faults: list[str]
    sent: list[int]

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        fault = self.faults.pop() if self.faults and self._is_chunk() else ""
        if fault == "busy":
            self.send_error(503)
            return
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "silent":
            time.sleep(3)
        if fault == "slow":
            time.sleep(0.3)
        self._send(path.read_bytes(), cut=fault == "cut")

    def _is_chunk(self) -> bool:
        return "/c/" in self.path or self.path.endswith((".h5", ".b2nd"))

    def _send(self, content: bytes, *, cut: bool) -> None:
        asked = self.headers.get("Range", "").removeprefix("bytes=")
        part = content
        if asked:
            first, _, last = asked.partition("-")
            part = (
                content[int(first) : int(last) + 1 if last else None]
                if first
                else content[-int(last) :]
            )
            start = int(first) if first else len(content) - len(part)
            self.send_response(206)
            stop = start + len(part) - 1
            self.send_header("Content-Range", f"bytes {start}-{stop}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.sent.append(len(part))
        self.wfile.write(part[: len(part) // 2] if cut else part)
        self.close_connection = cut

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str], list[int]]]:
    """Serve a folder over HTTP: its address, the faults to come, and the bytes sent."""
    faults: list[str] = []
    sent: list[int] = []
    handler: Any = type("Handler", (FaultyHandler,), {"faults": faults, "sent": sent})
    made = partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", faults, sent
        running.shutdown()
        thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str], list[int]]]:
    write_zarr(tmp_path / "t1.zarr", VOXELS, AFFINE, chunk=16)
    with serve(tmp_path) as (address, faults, sent):
        yield f"{address}/t1.zarr", faults, sent


@pytest.mark.usefixtures("library")
def test_a_box_comes_over_http(server: tuple[str, list[str], list[int]]) -> None:
    source = open_volume(server[0])
    check_reader(source, boxes=3)
    np.testing.assert_array_equal(source.affine, AFFINE)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


def test_only_the_chunks_of_a_box_are_sent(
    server: tuple[str, list[str], list[int]], tmp_path: Path
) -> None:
    url, _, sent = server
    source = open_volume(url)
    sent.clear()
    source.read(Box((16, 16, 16), (32, 32, 32)))
    whole = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    index_bytes = 7 * 6 * 5 * 16 + 4
    assert sum(sent) <= 1.5 * (16**3 * 2) + index_bytes < whole / 10


@pytest.fixture(params=["tensorstore", "zarr-python"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_tensorstore, "is_usable", lambda: request.param == "tensorstore")
    return str(request.param)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("fault", ["busy", "reset", "cut", "slow"])
def test_a_fault_that_passes_is_tried_again(
    server: tuple[str, list[str], list[int]], fault: str
) -> None:
    url, faults, _ = server
    source = open_volume(url)
    faults += [fault, fault]
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    assert faults == []


def test_a_server_that_falls_silent_is_asked_again(
    server: tuple[str, list[str], list[int]],
) -> None:
    url, faults, _ = server
    faults.append("silent")
    code = (
        "import time; from voxloom import ScalarImage; from voxloom.geometry import Box\n"
        f"image = ScalarImage({url!r}); image.space; began = time.monotonic()\n"
        "print(image.read(Box((0, 0, 0), (8, 8, 8))).sum(), time.monotonic() - began < 2.9)"
    )
    settings = {**os.environ, "TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS": "1"}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, encoding="utf-8", check=True, env=settings)
    assert said.stdout.split() == [str(VOXELS[:8, :8, :8].sum()), "True"]
    assert faults == []


@pytest.mark.usefixtures("library")
def test_what_is_not_there_is_named(server: tuple[str, list[str], list[int]]) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.zarr: there is no Zarr array or group"):
        open_volume(server[0].replace("t1", "gone"))
