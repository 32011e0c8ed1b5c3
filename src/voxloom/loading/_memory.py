"""How much memory a queue takes, and how much there is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxloom._errors import QueueMemoryError
from voxloom.geometry import Shape3
from voxloom.loading._cgroup import allowances
from voxloom.subjects import Subject

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
    """

    patches: int
    volumes: int
    available: int | None

    @property
    def total(self) -> int:
        """Patches and volumes together."""
        return self.patches + self.volumes

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
                f"{pretty(self.volumes)} of volumes) and {pretty(self.available)} are left; "
                f"choose a smaller max_length, a smaller patch_size or fewer workers"
            )

    def __str__(self) -> str:
        left = "unknown" if self.available is None else pretty(self.available)
        return (
            f"{pretty(self.total)}: {pretty(self.patches)} of patches, "
            f"{pretty(self.volumes)} of volumes; available: {left}"
        )


def estimate(subject: Subject, patch_size: Shape3, slots: int, workers: int) -> QueueMemory:
    """Return what a queue of subjects like this one takes, reading headers only."""
    a_voxel = volume = 0
    for image in subject.get_images_dict(intensity_only=False).values():
        a_voxel += image.shape[0] * image.dtype.itemsize
        if not image.source.reads_regions:
            volume += int(np.prod(image.shape, dtype=np.int64)) * image.dtype.itemsize
    patch = a_voxel * int(np.prod(patch_size, dtype=np.int64))
    return QueueMemory(patch * slots, volume * max(workers, 1), available_bytes())


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
