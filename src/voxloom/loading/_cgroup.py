"""What the control groups of Linux let this process take of memory: a container's, or a job's.

A group has a limit for all processes in it and below it, and so has each group above it. Past
the limit no call fails: the kernel kills a process, which may be the trainer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

_MOUNT: Final = Path("/sys/fs/cgroup")
_SELF: Final = Path("/proc/self/cgroup")
_UNLIMITED: Final = 1 << 60


class _Files(NamedTuple):
    """Where a version of control groups says what; pages of files are given back when needed."""

    limit: str
    used: str
    given_back: tuple[str, ...]


_VERSION_1: Final = _Files(
    "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file")
)
_VERSION_2: Final = _Files(
    "memory.max", "memory.current", ("active_file", "inactive_file", "slab_reclaimable")
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a control group allows, and what its processes have not taken of it, in bytes."""

    limit: int
    left: int


def allowances() -> list[Allowance]:
    """Return what the groups that this process is in allow; none where none has a limit."""
    found = [_read(folder, files) for folder, files in _groups()]
    return [allowance for allowance in found if allowance is not None]


def _groups() -> Iterator[tuple[Path, _Files]]:
    """Yield the group of this process and all above it, as far as they are to be seen.

    In a container the path may be one of the machine, and not be there: its own is the topmost.
    """
    try:
        lines = _SELF.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        names = [name for name in path.split("/") if name not in ("", "..")]
        mount, files = _MOUNT, _VERSION_2
        if controllers:
            mount, files = _MOUNT / "memory", _VERSION_1
        if not controllers or "memory" in controllers.split(","):
            for depth in range(len(names), -1, -1):
                yield mount.joinpath(*names[:depth]), files


def _read(folder: Path, files: _Files) -> Allowance | None:
    try:
        text = (folder / files.limit).read_text().strip()
        if text == "max" or int(text) >= _UNLIMITED:
            return None
        used = int((folder / files.used).read_text()) - _given_back(folder, files)
        return Allowance(int(text), max(int(text) - max(used, 0), 0))
    except (OSError, ValueError):
        return None


def _given_back(folder: Path, files: _Files) -> int:
    """Return the bytes of files that are kept in memory as long as nobody needs it."""
    try:
        lines = (folder / "memory.stat").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.split()[0] in files.given_back)
    except (OSError, ValueError, IndexError):
        return 0
