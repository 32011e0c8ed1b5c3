"""Memory and processor time of a process and all its descendants, read from /proc."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class TreeSample:
    """What the tree held at one moment: bytes, and processor seconds since it began."""

    time_s: float
    memory_bytes: int
    cpu_s: float
    processes: int
    file_bytes: int
    """Mapped pages of files among the memory, which the system takes back when it needs them."""


class TreeWatcher:
    """Samples a tree of processes in a thread until it is stopped.

    Use it as a context manager around the life of the process ``root``.
    """

    def __init__(self, root: int, interval_s: float = 0.1) -> None:
        self.samples: list[TreeSample] = []
        self._root = root
        self._interval_s = interval_s
        self._cpu: dict[tuple[int, int], float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def peak_bytes(self) -> int:
        return max(sample.memory_bytes for sample in self.samples)

    def peak_own_bytes(self) -> int:
        """Peak of the memory without mapped pages of files."""
        return max(sample.memory_bytes - sample.file_bytes for sample in self.samples)

    def cpu_between(self, start_s: float, end_s: float) -> float:
        """Processor seconds the tree used between two monotonic times, to one sample."""
        before = [sample.cpu_s for sample in self.samples if sample.time_s <= start_s]
        until = [sample.cpu_s for sample in self.samples if sample.time_s <= end_s]
        return (until[-1] if until else 0.0) - (before[-1] if before else 0.0)

    def _watch(self) -> None:
        while not self._stop.is_set():
            pids = tree_of(self._root)
            for pid in pids:
                self._note_cpu(pid)
            # A process that ended keeps its last value, so the sum never falls.
            cpu = sum(self._cpu.values())
            now = time.monotonic()
            files = sum(_set_sizes(pid).file_bytes for pid in pids)
            self.samples.append(TreeSample(now, memory_of(pids), cpu, len(pids), files))
            self._stop.wait(self._interval_s)

    def _note_cpu(self, pid: int) -> None:
        fields = _stat_fields(pid)
        if fields:
            user, system, birth = int(fields[11]), int(fields[12]), int(fields[19])
            # The birth is part of the key: the system may give a pid to another process.
            self._cpu[pid, birth] = (user + system) / TICKS_PER_S


def tree_of(root: int) -> list[int]:
    """Return ``root`` and its descendants that live now."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat_fields(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, pending = [], [root]
    while pending:
        pid = pending.pop()
        found.append(pid)
        pending.extend(children.get(pid, ()))
    return found


def memory_of(pids: list[int]) -> int:
    """Bytes of memory that the processes hold together.

    The proportional set sizes share out what several processes map. Shared memory that one
    of them holds open but none maps is in no set size, so open memory files are counted
    too, each once, and the larger of the two figures stands for all shared memory.
    """
    private = shared = 0
    files: dict[tuple[int, int], int] = {}
    for pid in pids:
        sizes = _set_sizes(pid)
        private += sizes.all_bytes - sizes.shared_bytes
        shared += sizes.shared_bytes
        files |= _memory_files(pid)
    return private + max(shared, sum(files.values()))


class _SetSizes(NamedTuple):
    all_bytes: int
    shared_bytes: int
    file_bytes: int


def _set_sizes(pid: int) -> _SetSizes:
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:  # It ended while we looked.
        return _SetSizes(0, 0, 0)
    sizes = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines[1:]}
    return _SetSizes(*(sizes.get(name, 0) for name in ("Pss", "Pss_Shmem", "Pss_File")))


def _memory_files(pid: int) -> dict[tuple[int, int], int]:
    """Allocated bytes of the memory files a process holds open, by (device, inode)."""
    found = {}
    try:
        entries = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return {}
    for entry in entries:
        try:
            if str(entry.readlink()).startswith(("/memfd:", "/dev/shm/")):
                status = entry.stat()
                found[status.st_dev, status.st_ino] = status.st_blocks * 512
        except OSError:  # Closed while we looked.
            continue
    return found


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/pid/stat after the name, which may itself hold spaces."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
