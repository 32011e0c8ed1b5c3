"""What lies in /dev/shm, but for what other programs on the machine use: they come and go."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

SHARED = Path("/dev/shm")


def names() -> set[str]:
    """Return the names there that this process or its children use, or nobody: what is left."""
    there = {}
    for path in SHARED.iterdir():
        with suppress(FileNotFoundError):  # it went meanwhile
            there[path.name] = path.stat().st_ino
    others = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    used = set().union(*map(_used_by, others - _family(os.getpid())))
    return {name for name, inode in there.items() if inode not in used}


def _family(pid: int) -> set[int]:
    family = {pid}
    with suppress(OSError):  # it has ended
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            family.update(*(_family(int(child)) for child in children))
    return family


def _used_by(pid: int) -> set[int]:
    """Return the files there that a process has mapped or open, by inode.

    A semaphore is mapped under another name than it gets.
    """
    inodes = set()
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
            if f" {SHARED}/" in line:
                inodes.add(int(line.split()[4]))
    with suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):  # it was closed meanwhile
                if str(link.readlink()).startswith(f"{SHARED}/"):
                    inodes.add(link.stat().st_ino)
    return inodes
