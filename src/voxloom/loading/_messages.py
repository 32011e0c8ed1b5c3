"""What the scheduler and its workers say to each other, and how: the executor protocol.

What is said of every patch is a named tuple: pickling frozen data classes takes several times as
long, and where each patch is a job of its own that would be a fifth of the trainer's time.
"""

from __future__ import annotations

import pickle
import traceback
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from voxloom.geometry import Index3
from voxloom.loading._board import Position
from voxloom.loading._memory_cache import StoredVolumes
from voxloom.loading._patch_transform import Changed
from voxloom.loading._slots import Layout
from voxloom.loading._work import Job
from voxloom.subjects import Subject

Span = tuple[float, float]
"""When work began and ended, by `time.perf_counter`, which all processes of a machine share."""


class Open(NamedTuple):
    """Read a subject and get ready to cut it, and say what it looks like.

    Where that is known, nothing is said and nothing is read before the first patch is cut.
    `job` has the first of its `num_places` places: all of them might not fit in a pipe, and whoever
    tells a worker that hangs would hang too. `stored` says which of its volumes the memory cache
    has; None that it may keep them now.
    """

    job: Job
    num_places: int
    is_known: bool = False
    stored: StoredVolumes | None = ()


class Cut(NamedTuple):
    """Cut patches of opened jobs into frames of memory: ``(job, place, patch, frame)`` each.

    `keeps_order` says that they may lie as their volumes do; otherwise they are in C order.
    """

    patches: tuple[tuple[int, int, int, int], ...]
    slot_bytes: int
    keeps_order: bool = False


class Drop(NamedTuple):
    """Forget a job: nobody waits for the rest of its patches."""

    job: int


@dataclass(frozen=True, slots=True)
class Began:
    """A subject is open: what its patches look like, and how long each stage took.

    `is_lasting` says that it looks like this whenever it is opened; `stored`, which of its volumes
    the memory cache has now, or None if it may be asked again to keep them.
    """

    job: int
    outline: Subject
    layout: Layout
    seconds: dict[str, float]
    span: Span = (0.0, 0.0)
    is_lasting: bool = False
    stored: StoredVolumes | None = ()


class Finished(NamedTuple):
    """One patch lies in its frame; or, if it is larger than that, in `voxels`.

    `changed` says what a patch transform made of it, where there is one. `border` is the padding
    of a grid before the first voxel of the volume, which its locations count. `orders` says how
    its images lie, if not in C order.
    """

    job: int
    place: int
    patch: int
    index_ini: Index3
    voxels: bytes | None = None
    changed: Changed | None = None
    border: Index3 = (0, 0, 0)
    orders: str = ""


class Made(NamedTuple):
    """Patches of some jobs of one epoch are finished."""

    patches: tuple[Finished, ...]
    seconds: dict[str, float]
    span: Span = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Failed:
    """Something went wrong: with the patch for `place`, or with the whole job if that is None."""

    job: int
    stage: str
    place: int | None
    cause: BaseException
    report: str


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has started and waits for commands."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A worker cannot start: what it was sent cannot be used there."""

    cause: str
    report: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker died: with which exit code, and where it was."""

    exit_code: int | None
    position: Position


Command = Open | Cut | Drop
Event = Began | Made | Failed | Ready | Broken | Lost


class Executor(Protocol):
    """Workers that obey commands in order and report events, wherever they run."""

    num_workers: int

    def send(self, worker: int, *commands: Command) -> None:
        """Give a worker something to do: all of it in one message."""

    def receive(self) -> list[tuple[int, Event]]:
        """Wait for events and return them with the number of their worker."""

    def revive(self, worker: int) -> None:
        """Start a fresh worker in the place of a lost one."""

    def position(self, worker: int) -> Position:
        """Return where a worker is now."""

    def stacks(self, worker: int) -> str:
        """Return what each thread of a worker is doing, as text."""

    def kill(self, worker: int) -> bool:
        """End a worker that hangs, which `receive` then reports. Tell whether that is possible."""

    def wake(self) -> None:
        """Make a waiting `receive` return."""

    def close(self) -> None:
        """End all workers."""


def jobs_of(command: Command) -> list[int]:
    """Return the numbers of the jobs that a command is about."""
    if isinstance(command, Open):
        return [command.job.number]
    if isinstance(command, Drop):
        return [command.job]
    return list(dict.fromkeys(job for job, *_ in command.patches))


def failure(job: int, stage: str, place: int | None, cause: BaseException) -> Failed:
    """Return the report of an exception, in a form that can cross to another process."""
    report = "".join(traceback.format_exception(cause))
    try:
        pickle.loads(pickle.dumps(cause))
    except Exception:
        cause = RuntimeError(f"{type(cause).__name__}: {cause}")
    return Failed(job, stage, place, cause, report)
