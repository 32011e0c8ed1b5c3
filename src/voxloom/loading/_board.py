"""What a worker leaves behind in case it dies or hangs: where it was, its memory, its stacks."""

from __future__ import annotations

import faulthandler
import mmap
import os
import signal
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import reduction
from pathlib import Path
from typing import Any, Final

from voxloom.loading._slots import open_nameless_file

_STAGES: Final = (
    "wait", "start", "read", "decode", "transform", "locate", "crop", "patch transform", "ship"
)  # fmt: skip
_PLACE: Final = struct.Struct("<qqq")
_MEMORY: Final = struct.Struct("<q")
_STACKS_FROM: Final = mmap.PAGESIZE


@dataclass(frozen=True, slots=True)
class Position:
    """Where a worker was last seen.

    Attributes
    ----------
    stage : str
        What it did.
    job, place : int
        For which job, and which place of the plan; -1 where it had none.
    peak_bytes : int
        The most memory that it had, a quarter of a second before at most.
    """

    stage: str = "start"
    job: int = -1
    place: int = -1
    peak_bytes: int = 0


class Board:
    """One page of memory that a worker writes and the trainer reads, even after its death.

    Nothing is sent and nobody waits. The file has no name, so it cannot be left behind.

    Examples
    --------
    >>> board = Board()
    >>> board.attach()
    >>> board.begin(job=3, place=17)
    >>> board.enter("transform")
    >>> board.read().stage, board.read().job, board.read().place
    ('transform', 3, 17)
    >>> board.close()
    """

    def __init__(self) -> None:
        self._fd = open_nameless_file("voxloom-board")
        os.ftruncate(self._fd, _STACKS_FROM)
        self._page: mmap.mmap | None = None
        self._job = self._place = -1

    def attach(self) -> None:
        """Get ready to write, in the worker."""
        self._page = mmap.mmap(self._fd, _STACKS_FROM)
        self.note_memory()

    def dump_stacks_on_signal(self) -> None:
        """Let SIGUSR1 write the stacks of this process, whatever it is doing."""
        os.lseek(self._fd, _STACKS_FROM, os.SEEK_SET)
        if hasattr(faulthandler, "register"):
            faulthandler.register(signal.SIGUSR1, file=self._fd, all_threads=True)

    def begin(self, job: int, place: int) -> None:
        """Say which job and which place of the plan the following stages belong to."""
        self._job, self._place = job, place

    def enter(self, stage: str) -> None:
        """Say which stage begins."""
        assert self._page is not None
        _PLACE.pack_into(self._page, 0, _STAGES.index(stage) + 1, self._job, self._place)

    def note_memory(self) -> None:
        """Say how much memory this process has had; any thread may."""
        if (page := self._page) is not None:
            _MEMORY.pack_into(page, _PLACE.size, _peak_bytes())

    def rest(self) -> None:
        """Say that nothing is being done."""
        self.begin(-1, -1)
        self.enter("wait")

    def read(self) -> Position:
        """Return where the worker was last seen."""
        record = os.pread(self._fd, _PLACE.size + _MEMORY.size, 0)
        (stage, job, place), [peak] = (
            _PLACE.unpack_from(record),
            _MEMORY.unpack_from(record, _PLACE.size),
        )
        return Position(_STAGES[stage - 1], job, place, peak) if stage else Position()

    def ask_stacks(self, process: int, patience_s: float = 1.0) -> str:
        """Return the stacks of the worker's threads, as text."""
        if not hasattr(faulthandler, "register"):
            return "(this system cannot show the stacks of another process)"
        if self.read().stage == "start":  # the signal would end it
            return "(it has not started yet)"
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGUSR1)
        text, deadline = b"", time.monotonic() + patience_s
        while time.monotonic() < deadline:
            time.sleep(0.02)
            before, text = text, os.pread(self._fd, 2**20, _STACKS_FROM)
            if text and text == before:
                break
        return text.decode(errors="replace") or "(no answer: it hangs in the system itself)"

    def close(self) -> None:
        """Give the memory back."""
        self._page = None
        fd, self._fd = self._fd, -1  # first: whom Ctrl-C stops here closes once more
        if fd >= 0:
            os.close(fd)

    def __getstate__(self) -> dict[str, Any]:
        return {"fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._fd, self._page = state["fd"].detach(), None
        self._job = self._place = -1


def _peak_bytes() -> int:
    """Return the most memory this process has had.

    What `getrusage` says on Linux is never less than what the trainer had when it started us.
    """
    with suppress(OSError):
        for line in Path("/proc/self/status").read_bytes().splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
