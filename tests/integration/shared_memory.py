"""What lies in /dev/shm, but for what other programs on the machine use: they come and go."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")


def names() -> set[str]:
    """Return the names there that this process or its children use, or nobody: what is left."""
    others = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    used = set().union(*map(_used_by, others - _family(os.getpid())))
    return {path.name for path in SHARED.iterdir()} - used


def _family(pid: int) -> set[int]:
    family = {pid}
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            family.update(*(_family(int(child)) for child in children))
    return family


def _used_by(pid: int) -> set[str]:
    """Return the names that a process has mapped or open."""
    paths: list[str] = []
    with suppress(OSError):
        maps = Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines()
        paths += [line.rpartition(" ")[2] for line in maps if f" {SHARED}/" in line]
        paths += [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
    return {Path(path).name for path in paths if path.startswith(f"{SHARED}/")}
