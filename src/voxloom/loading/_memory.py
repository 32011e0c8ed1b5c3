"""How much memory a queue takes, and how much there is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxloom._errors import QueueMemoryError
from voxloom.geometry import Shape3
from voxloom.subjects import Subject

_CGROUP: Final = Path("/sys/fs/cgroup")
_UNLIMITED: Final = 1 << 60


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
                f"the queue would take {_pretty(self.total)} ({_pretty(self.patches)} of patches, "
                f"{_pretty(self.volumes)} of volumes) and {_pretty(self.available)} are left; "
                f"choose a smaller max_length, a smaller patch_size or fewer workers"
            )

    def __str__(self) -> str:
        left = "unknown" if self.available is None else _pretty(self.available)
        return (
            f"{_pretty(self.total)}: {_pretty(self.patches)} of patches, "
            f"{_pretty(self.volumes)} of volumes; available: {left}"
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
    """Return the bytes that this process may still take, by the machine and its cgroup."""
    limits = [_machine_bytes(), *_cgroup_bytes()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _machine_bytes() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    sizes = {line.split(":")[0]: line.split()[1] for line in lines}
    return int(sizes["MemAvailable"]) * 1024 if "MemAvailable" in sizes else None


def _cgroup_bytes() -> list[int | None]:
    """Return what the cgroup of this process leaves, for version 2 and version 1."""
    return [
        _left(_own_group("") / "memory.max", _own_group("") / "memory.current"),
        _left(_CGROUP / "memory.max", _CGROUP / "memory.current"),
        _left(
            _CGROUP / "memory" / "memory.limit_in_bytes",
            _CGROUP / "memory" / "memory.usage_in_bytes",
        ),
    ]


def _own_group(controller: str) -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return _CGROUP
    for line in lines:
        _, names, path = line.split(":", 2)
        if names == controller:
            return _CGROUP / path.lstrip("/")
    return _CGROUP


def _left(limit: Path, used: Path) -> int | None:
    try:
        text = limit.read_text().strip()
        if text == "max" or int(text) >= _UNLIMITED:
            return None
        return max(int(text) - int(used.read_text()), 0)
    except (OSError, ValueError):
        return None


def _pretty(size: int) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
