"""A control group of Linux with a limit of memory, for processes that shall run out of it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")


class MemoryGroup:
    """A group below or beside the one of this process; whoever makes it removes it.

    Raises
    ------
    OSError
        Where none can be made: that takes rights, and a kernel that has such groups.
    """

    def __init__(self, limit_bytes: int) -> None:
        name = f"voxloom-test-{os.getpid()}-{time.monotonic_ns()}"
        error = OSError("this process is in no control group of memory")
        for folder, limit in _candidates():
            try:
                self.folder = folder / name
                self.folder.mkdir()
            except OSError as refused:
                error = refused
                continue
            try:
                (self.folder / limit).write_text(str(limit_bytes))
                self._do_without_swap()
            except OSError as refused:
                error = refused
                self.remove()
                continue
            return
        raise error

    def enter(self) -> None:
        """Bring the process that calls this into the group."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))

    def processes(self) -> list[int]:
        """Return who is in it."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def remove(self) -> None:
        """Remove the group; processes that have just ended may hold it a moment longer."""
        for _ in range(100):
            with suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.05)
        self.folder.rmdir()

    def _do_without_swap(self) -> None:
        for name in ("memory.swap.max", "memory.swappiness"):
            if (self.folder / name).exists():
                (self.folder / name).write_text("0")


def _candidates() -> Iterator[tuple[Path, str]]:
    """Yield where a group might be made, and the file with its limit: in version 1, then 2."""
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in sorted(lines, key=lambda line: not line[1]):
        own = path.strip("/")
        if "memory" in controllers.split(","):
            yield MOUNT / "memory" / own, "memory.limit_in_bytes"
        if not controllers:  # where a group has processes, its memory is not dealt out below it
            yield from ((MOUNT / place, "memory.max") for place in (own, str(Path(own).parent)))
