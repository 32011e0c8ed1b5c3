"""What a process has that queues take from: descriptors, threads, workers, shared memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import shared_memory


def belongings() -> Counter[str]:
    """Return what this process has, that queues take from, and how many of each."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    kinds = [str(link.readlink()).split(":")[0] for link in links]
    return Counter(
        [
            *(f"descriptor of {kind}" for kind in kinds if not kind.startswith("/proc/")),
            *(f"thread {thread.name}" for thread in threading.enumerate()),
            *(f"shared memory {name}" for name in shared_memory.names()),
            *(f"worker {pid}" for pid in children()),
        ]
    )


def children() -> set[str]:
    """Return the worker processes, of whichever thread."""
    tasks = [task / "children" for task in Path("/proc/self/task").iterdir()]
    found = [pid for task in tasks if task.exists() for pid in task.read_text().split()]
    lines = {pid: Path(f"/proc/{pid}/cmdline") for pid in found}
    return {
        pid for pid, line in lines.items() if line.exists() and b"spawn_main" in line.read_bytes()
    }


def started_children(count: int) -> set[str]:
    """Return the workers once there are as many: one that just began is not known by its name."""
    deadline = time.monotonic() + 10
    while len(children()) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return children()
