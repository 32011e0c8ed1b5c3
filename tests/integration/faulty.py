"""Transforms that fail as data, machines and people do: worker processes import them."""

from __future__ import annotations

import os
import resource
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
from memory_group import MemoryGroup

from voxloom import ScalarImage, Subject


def make_subjects(count: int, size: int = 8) -> list[Subject]:
    """Return subjects whose voxels all differ, so that a patch tells where it comes from."""
    voxels = np.arange(count * size**3, dtype=np.int32).reshape(count, 1, size, size, size)
    return [
        Subject(t1=ScalarImage(tensor=voxels[number]), number=number) for number in range(count)
    ]


class FailOn:
    """Fails for some subjects, every time."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = numbers

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers:
            raise LookupError(f"number {subject.number} is bad")
        return subject


class FailFirst(FailOn):
    """Fails for some subjects, each as often as `times` says, in whichever process."""

    def __init__(self, *numbers: int, folder: Path, times: int = 1) -> None:
        super().__init__(*numbers)
        self.folder, self.times = folder, times

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers and count_up(self.folder, subject.number) <= self.times:
            raise OSError(f"number {subject.number} is away")
        return subject


class KillOn(FailOn):
    """Kills its process, as the kernel does when there is no memory left."""

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return subject


class Panic(BaseException):
    """What libraries in Rust raise: no Exception."""


class PanicOn(FailOn):
    """Panics for some subjects."""

    def __call__(self, subject: Subject, rng: np.random.Generator) -> Subject:  # type: ignore[override]
        if subject.number in self.numbers:
            raise Panic(subject.number)
        return subject


class GrowUntilKilled(FailOn):
    """Takes memory for some subjects and is killed for it, by the kernel's own signal."""

    def __init__(self, *numbers: int, megabytes: int) -> None:
        super().__init__(*numbers)
        self.megabytes = megabytes

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers:
            taken = np.ones(self.megabytes * 2**20, dtype=np.uint8)
            time.sleep(0.6)
            os.kill(os.getpid(), signal.SIGKILL)
            assert taken.any()
        return subject


class Outgrow(FailOn):
    """Takes memory for some subjects until the kernel ends the process, `times` in all."""

    def __init__(
        self, *numbers: int, folder: Path, group: MemoryGroup | None = None, times: int = 1000
    ) -> None:
        super().__init__(*numbers)
        self.folder, self.group, self.times = folder, group, times

    def __call__(self, subject: Subject) -> Subject:
        if subject.number not in self.numbers or count_up(self.folder, 0) > self.times:
            return subject
        if self.group is not None:
            self.group.enter()
        taken = [np.ones(2**24, dtype=np.uint8) for _ in range(100)]
        raise AssertionError(f"{len(taken)} times 16 MiB did not end this process")


class RunOutOfMemory(FailOn):
    """Takes more memory than its process may have, for some subjects."""

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers:
            limit = 2**30
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            np.ones(2**30)
        return subject


class ComeBack:
    """Brings a folder that was away back, once the first subject was read."""

    def __init__(self, away: Path, back: Path) -> None:
        self.away, self.back = away, back

    def __call__(self, subject: Subject) -> Subject:
        with suppress(FileNotFoundError):
            self.away.rename(self.back)
        return subject


class HangOn(FailOn):
    """Never comes back for some subjects."""

    def __call__(self, subject: Subject) -> Subject:
        if subject.number in self.numbers:
            time.sleep(1000)
        return subject


class StuckOnArrival:
    """A transform that never gets through to the worker it is sent to."""

    def __call__(self, subject: Subject) -> Subject:
        return subject

    def __setstate__(self, state: object) -> None:
        time.sleep(1000)

    def __getstate__(self) -> dict[str, str]:
        return {"a state": "so that it is set"}


class FailOnPatch:
    """A patch transform that fails for one patch in eleven."""

    def __call__(self, subject: Subject) -> Subject:
        if subject.t1.array.flat[0] % 11 == 0:
            raise LookupError("a patch of eleven")
        return subject


class EndOnPatch:
    """A patch transform that ends its process, or only fails, for one patch in a hundred."""

    def __init__(self, *, kills: bool) -> None:
        self.kills = kills

    def __call__(self, subject: Subject) -> Subject:
        if subject.index_ini.tolist() == [2, 3, 1]:
            if self.kills:
                os.kill(os.getpid(), signal.SIGKILL)
            raise LookupError("a patch of a hundred")
        return subject


class Slow:
    """A reader of files that take their time, all alike."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(self.seconds)
        return ScalarImage(path).array, np.eye(4)


class Pause:
    """A transform, of volumes or of patches, that takes its time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self, subject: Subject) -> Subject:
        time.sleep(self.seconds)
        return subject


class Unsteady:
    """A reader of files in a network folder that is away when file 2 is first asked for."""

    def __init__(self, fault: str, folder: Path) -> None:
        self.fault, self.folder = fault, folder

    def __call__(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        away = path.stem == "2" and count_up(self.folder, 2) == 1
        if away and self.fault == "hangs":
            time.sleep(1000)
        if away:
            raise OSError(116, "Stale file handle", str(path))
        return ScalarImage(path).array, np.eye(4)


def count_threads(subject: Subject) -> Subject:
    """Tell how many threads libraries would use here."""
    import torch

    told = [int(os.environ[name]) for name in ("OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS")]
    return subject.replace(threads=[torch.get_num_threads(), *told])


def enlarge(subject: Subject) -> Subject:
    """Return a patch of 1 MiB, whatever it was."""
    return subject.replace(t1=ScalarImage(tensor=np.zeros((1, 64, 64, 64), dtype=np.int32)))


class EndPython(FailOn):
    """Ends the program as scripts do, for some subjects, or patches of them, or files."""

    def __init__(self, *numbers: int, error: type[BaseException]) -> None:
        super().__init__(*numbers)
        self.error = error

    def __call__(self, subject: Subject, rng: np.random.Generator) -> Subject:  # type: ignore[override]
        if subject.number in self.numbers:
            raise self.error("enough")
        return subject

    def read(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        if int(path.name.split(".")[0]) in self.numbers:
            raise self.error("enough")
        return ScalarImage(path).array, np.eye(4)


def ends_python(subject: Subject) -> Subject:
    """End this process as a library in C does."""
    os._exit(1)


def count_up(folder: Path, number: int) -> int:
    """Return how often this was called for a number, over all processes."""
    with (folder / str(number)).open("a+") as file:
        file.write("x")
        return file.tell()
