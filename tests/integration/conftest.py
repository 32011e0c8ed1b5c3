"""A real S3 server, and what worker processes import by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from object_server import ObjectServer


@pytest.fixture(scope="session")
def object_server() -> Iterator[ObjectServer]:
    """Start an S3 server in a process of its own, and let the libraries find it as they do."""
    script = Path(__file__).parent / "scripts" / "s3_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
    )
    assert process.stdout is not None
    try:
        yield ObjectServer(int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def s3(object_server: ObjectServer, monkeypatch: pytest.MonkeyPatch) -> ObjectServer:
    """Return the server, with credentials in the environment; it has no faults left."""
    object_server.spoil("none", 0)
    for name, value in object_server.environment.items():
        monkeypatch.setenv(name, value)
    return object_server
