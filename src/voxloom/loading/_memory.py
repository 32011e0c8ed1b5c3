"""How much memory a queue takes, and how much there is."""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from voxloom._errors import QueueMemoryError
from voxloom.geometry import Shape3
from voxloom.loading._cgroup import allowances
from voxloom.loading._window import round_up
from voxloom.subjects import Subject

_CACHE_BYTES: Final = 512 * 2**20
_LEAST_SHARE: Final = 1 / 20
_MACHINE: Final = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class QueueMemory:
    """What a queue takes at most, in bytes, judged by the headers of its first subject.

    Attributes
    ----------
    patches : int
        Finished patches: `max_length` of them, or two epochs where that is less.
    volumes : int
        Decoded volumes, one subject a worker.
    available : int or None
        What the machine, or this container, has left; None where it does not say.
    cached : int
        Volumes that stay decoded between epochs.
    """

    patches: int
    volumes: int
    available: int | None
    cached: int = 0

    @property
    def total(self) -> int:
        """Patches and volumes together."""
        return self.patches + self.volumes + self.cached

    def check(self) -> None:
        """Raise unless the patches fit into what is left.

        Raises
        ------
        QueueMemoryError
            A MemoryError.
        """
        if self.available is not None and self.total > self.available:
            raise QueueMemoryError(
                f"the queue would take {pretty(self.total)} ({pretty(self.patches)} of patches, "
                f"{pretty(self.volumes + self.cached)} of volumes) and {pretty(self.available)} "
                f"are left; choose a smaller max_length, a smaller patch_size, fewer workers or "
                f"memory_cache=0"
            )

    def __str__(self) -> str:
        left = "unknown" if self.available is None else pretty(self.available)
        cached = f", {pretty(self.cached)} of volumes that stay decoded" if self.cached else ""
        return (
            f"{pretty(self.total)}: {pretty(self.patches)} of patches, "
            f"{pretty(self.volumes)} of volumes{cached}; available: {left}"
        )


def estimate(
    subject: Subject,
    patch_size: Shape3,
    slots: int,
    workers: int,
    *,
    subjects: int = 0,
    cache: int | None = None,
) -> QueueMemory:
    """Return what a queue of subjects like this one takes, reading headers only.

    Parameters
    ----------
    subject : Subject
        One of them.
    patch_size : (w, h, d)
        Size of a patch.
    slots, workers : int
        How many patches are held, and by how many workers.
    subjects : int
        How many subjects may stay decoded.
    cache : int, optional
        The most bytes that they may take. By default 512 MiB, but no more than a quarter of what
        is left; and nothing, where that would hold less than a twentieth of the subjects.
    """
    a_voxel = volume = stays = 0
    for image in subject.get_images_dict(intensity_only=False).values():
        a_voxel += image.shape[0] * image.dtype.itemsize
        if not image.source.reads_regions:
            nbytes = int(np.prod(image.shape, dtype=np.int64)) * image.dtype.itemsize
            volume += nbytes
            stays += round_up(nbytes, mmap.PAGESIZE)
    patch = a_voxel * int(np.prod(patch_size, dtype=np.int64))
    memory = QueueMemory(patch * slots, volume * max(workers, 1), available_bytes())
    if not hasattr(os, "memfd_create"):  # other than on Linux
        return memory
    limit = _default_cache(memory, stays * subjects) if cache is None else cache
    return replace(memory, cached=min(limit, stays * subjects))


def _default_cache(memory: QueueMemory, everything: int) -> int:
    limit = _CACHE_BYTES
    if memory.available is not None:
        limit = min(limit, max(0, memory.available - memory.total) // 4)
    return limit if limit >= everything * _LEAST_SHARE else 0


def available_bytes() -> int | None:
    """Return the bytes that this process may still take, by the machine and its cgroups."""
    known = [allowance.left for allowance in allowances()]
    if (free := _machine_bytes("MemAvailable")) is not None:
        known.append(free)
    return min(known, default=None)


def limit_bytes() -> int | None:
    """Return the bytes that all processes of this machine or container may have together."""
    known = [allowance.limit for allowance in allowances()]
    if (total := _machine_bytes("MemTotal")) is not None:
        known.append(total)
    return min(known, default=None)


def check_room(size: int) -> None:
    """Raise unless there is this much memory: to try would have the kernel kill a process.

    Raises
    ------
    MemoryError
        That says how much is left.
    """
    available = available_bytes()
    if available is not None and size > available:
        raise MemoryError(f"{pretty(available)} are left")


def let_go_first(process: int) -> None:
    """Let the kernel end this process before the trainer where memory runs out.

    A worker can be replaced. By size alone it would often be the trainer; where a worker counts
    as if it had four fifths of all memory more, it goes, unless others have taken nearly all.
    """
    with suppress(OSError):  # no Linux
        Path(f"/proc/{process}/oom_score_adj").write_text("800")


def let_go_of_freed() -> None:
    """Have the system get back what this process has freed, which its heap would keep."""
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def _machine_bytes(name: str) -> int | None:
    try:
        lines = _MACHINE.read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: line.split()[1] for line in lines}
    return int(sizes[name]) * 1024 if name in sizes else None


def pretty(size: int) -> str:
    """Return a number of bytes for people."""
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
