"""A real S3 server, what must be left of no queue, and what worker processes import by name."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import faulty
from belongings import belongings
from object_server import ObjectServer

from voxloom import Queue, SubjectsDataset, UniformSampler
from voxloom.io._mapping import map_file


@pytest.fixture(scope="session")
def started(fork_server: None) -> None:
    """Use a queue of each kind once: multiprocessing starts what the process keeps."""
    for method in ("spawn", "forkserver"):
        dataset = SubjectsDataset(faulty.make_subjects(2))
        with Queue(
            dataset, 4, 2, UniformSampler(4), 1, executor="processes", start_method=method
        ) as queue:
            next(iter(queue))


@pytest.fixture
def nothing_is_left(started: None) -> Iterator[None]:
    """Find after a test what was there before: no descriptor, worker, thread or file more."""
    before = belongings()
    yield
    map_file.cache_clear()  # plain files that the test itself read stay mapped
    deadline = time.monotonic() + 5
    while belongings() - before and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)  # what other tests beside this one use passes through
    assert belongings() - before == Counter()


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
