"""Volumes on servers that run here: an S3 store, and plain HTTP that fails now and then."""

import http.server
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import _zarr, open_volume, write_zarr

pytest.importorskip("tensorstore")
pytest.importorskip("numcodecs")

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
        fault = self.faults.pop() if self.faults and "/c/" in self.path else ""
        if fault == "busy":
            self.send_error(503)
            return
        if fault == "reset":
            self.close_connection = True
            self.connection.close()
            return
        self._send(path.read_bytes(), cut=fault == "cut")

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


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, list[str], list[int]]]:
    write_zarr(tmp_path / "t1.zarr", VOXELS, AFFINE, chunk=16)
    faults: list[str] = []
    sent: list[int] = []
    handler = type("Handler", (FaultyHandler,), {"faults": faults, "sent": sent})
    made = partial(handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), made) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/t1.zarr", faults, sent
        running.shutdown()
        thread.join()


def test_a_box_comes_over_http(server: tuple[str, list[str], list[int]]) -> None:
    source = open_volume(server[0])
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


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_fault_that_passes_is_tried_again(
    server: tuple[str, list[str], list[int]], fault: str
) -> None:
    url, faults, _ = server
    source = open_volume(url)
    faults += [fault, fault]
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    assert faults == []


def test_what_is_not_there_is_named(server: tuple[str, list[str], list[int]]) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.zarr: there is no Zarr array or group"):
        open_volume(server[0].replace("t1", "gone"))


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    port = 5000 + os.getpid() % 1000
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    patch = pytest.MonkeyPatch()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
    }.items():
        patch.setenv(name, value)
    try:
        wait_for(url)
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="volumes")
        root = tmp_path_factory.mktemp("s3")
        write_zarr(root / "t1.zarr", VOXELS, AFFINE, chunk=16)
        for file in (root / "t1.zarr").rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "volumes", file.relative_to(root).as_posix())
        yield "s3://volumes"
    finally:
        patch.undo()
        process.kill()
        process.wait()


def wait_for(url: str) -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} did not answer in a minute")


def test_a_box_comes_from_s3(bucket: str) -> None:
    source = open_volume(f"{bucket}/t1.zarr")
    np.testing.assert_array_equal(source.affine, AFFINE)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


@pytest.mark.filterwarnings("ignore")  # of botocore and aiohttp, on their own deprecations
def test_a_box_comes_from_s3_without_tensorstore(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("s3fs")
    monkeypatch.setattr(_zarr, "_has_tensorstore", lambda: False)
    source = open_volume(f"{bucket}/t1.zarr")
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


def test_a_bucket_that_is_not_there_is_an_error_of_ours(bucket: str) -> None:
    with pytest.raises(VolumeReadError, match=r"s3://nothing/t1\.zarr"):
        open_volume("s3://nothing/t1.zarr")
