"""What a queue counts while it runs, at a cost of microseconds a patch."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from voxloom.loading._marks import TRAINER, Mark, Marks, Rows
from voxloom.loading._messages import Began, Made, Span
from voxloom.loading._mixing import BatchCounter
from voxloom.loading._plan import EpochPlan
from voxloom.loading._running import Patch
from voxloom.loading._stages import KEPT
from voxloom.loading._stats import STAGES, WORKER_STAGES, EpochStats, StageTime
from voxloom.loading._work import Job

_EPOCHS_KEPT: Final = 50
_changes: Final = itertools.count(1)


class Moment(NamedTuple):
    """A batch that was handed out: when, of how many subjects its patches, and how many of them."""

    time_s: float
    distinct: int
    patches: int


class Onlooker(Protocol):
    """Whoever wants to see patches and batches leave. What it does, the trainer waits for."""

    def see_patch(self, patch: Patch) -> None:
        """Look at a patch that is taken; its voxels are valid during this call."""

    def see_batch(self, epoch: int, first: int, subjects: list[int]) -> None:
        """Learn that the patches from place `first` on, of these subjects, were handed out."""


class _Tally:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.patches = self.nbytes = self.loads = self.takes = self.filled = 0
        self.first_wait_s = self.longest_wait_s = self.start_s = 0.0
        self.elapsed_s = self.worked_s = 0.0
        self.begin_s: float | None = None
        self.end_s = 0.0
        self.batches = BatchCounter()
        self.counts: npt.NDArray[np.int64] = np.empty(0, dtype=np.int64)
        self.counted = 0
        self.known: tuple[int, EpochStats] | None = None

    def note_change(self) -> None:
        """Say, once something was counted, that the value known before is old."""
        self.counted = next(_changes)

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def elapsed(self) -> float:
        return self.elapsed_s + (0.0 if self.begin_s is None else self.end_s - self.begin_s)

    def merge(self, other: _Tally) -> None:
        for stage, seconds in tuple(other.seconds.items()):  # workers may report another meanwhile
            self.add(stage, seconds)
        self.patches += other.patches
        self.nbytes += other.nbytes
        self.loads += other.loads
        self.takes += other.takes
        self.filled += other.filled
        self.first_wait_s += other.first_wait_s
        self.longest_wait_s = max(self.longest_wait_s, other.longest_wait_s)
        self.elapsed_s += other.elapsed()
        self.start_s += other.start_s
        self.worked_s += other.worked_s
        self.batches.merge(other.batches)
        self.counts = other.counts if len(other.counts) else self.counts


class Meter:
    """Counts what workers report, what is taken and how long the trainer waits.

    Workers' reports come in one thread, the trainer's calls in another; each has counts of its
    own, so no lock is needed. What the trainer's thread has to say of each batch is only kept
    there, and counted when the next patch is taken, in another thread where one makes batches, or
    when somebody asks: the trainer would wait for it.
    """

    def __init__(self) -> None:
        self._tallies: dict[int, _Tally] = {}
        self._past = _Tally()
        self._fills, self._moments = Rows("<dq"), Rows("<dqq")
        self._work, self._waits = Marks(), Marks()
        self._started_s: float | None = None
        self._later: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._settling = threading.RLock()
        self.onlooker: Onlooker | None = None

    def __reduce__(self) -> tuple[type[Meter], tuple[()]]:
        """Let a copy in another process count for itself."""
        return Meter, ()

    @property
    def marks(self) -> list[Mark]:
        """The last things that were done, for a trace."""
        self._settle()
        return [*self._work, *self._waits]

    @property
    def fills(self) -> list[tuple[float, int]]:
        """When the last patches were taken, and how many were finished then."""
        return [(time_s, ready) for time_s, ready in self._fills]

    @property
    def moments(self) -> list[Moment]:
        """The last batches that were handed out."""
        self._settle()
        return [Moment(*row) for row in self._moments]

    def note_work(self, worker: int, job: Job, event: Began | Made) -> None:
        """Count what a worker did for a job, or for several of its epoch, when that is read."""
        tally, now = self._tally(job.epoch), time.perf_counter()
        sent_s = event.span[1] + event.seconds.pop(KEPT, 0.0)
        for stage, seconds in event.seconds.items():
            tally.add(stage, seconds)
        if event.span[1]:
            tally.add("ship", max(now - sent_s, 0.0))
        tally.worked_s += sum(event.seconds.values()) * self._share_since_start(event.span)
        if isinstance(event, Began):
            tally.loads += bool(event.seconds)
        tally.note_change()
        name = "open" if isinstance(event, Began) else "cut"
        subject = job.subject if _is_of_one(event) else None
        self._work.add(Mark(name, worker, *event.span, job.epoch, subject, event.seconds))

    def note_take(self, epoch: int, nbytes: int, ready: int) -> None:
        """Count a patch that is taken while `ready` are finished."""
        self._settle()
        tally = self._tally(epoch)
        tally.takes += 1
        tally.nbytes += nbytes
        tally.filled += ready
        tally.note_change()
        self._fills.add(time.perf_counter(), ready)

    def note_collate(self, epoch: int, seconds: float) -> None:
        """Count the time that a batch took to put together."""
        tally = self._tally(epoch)
        tally.add("collate", seconds)
        tally.note_change()

    def note_wait(self, epoch: int, span: Span, *, is_first: bool) -> None:
        """Count a wait of the trainer; the first of a pass is kept apart."""
        self._later.append((self._count_wait, (epoch, span, is_first)))
        if is_first:  # what workers report is counted from then on
            self._settle()

    def note_batch(self, plan: EpochPlan, subjects: npt.NDArray[np.int64] | list[int]) -> None:
        """Count patches that are handed out together, of an epoch with this plan."""
        self._later.append((self._count_batch, (plan, subjects, time.perf_counter())))

    def _settle(self) -> None:
        """Count what was only kept."""
        if self._later:
            with self._settling:
                while self._later:
                    count, of_what = self._later.popleft()
                    count(*of_what)

    def _count_wait(self, epoch: int, span: Span, is_first: bool) -> None:
        tally, waited = self._tally(epoch), span[1] - span[0]
        tally.add("wait", waited)
        if is_first:
            tally.first_wait_s += waited
            tally.elapsed_s, tally.begin_s = tally.elapsed(), span[0]
            if self._started_s is None:
                self._started_s, tally.start_s = span[1], waited
        else:
            tally.longest_wait_s = max(tally.longest_wait_s, waited)
        tally.end_s = span[1]
        tally.note_change()
        self._waits.add(Mark("wait", TRAINER, *span, epoch, None, {}))

    def _count_batch(
        self, plan: EpochPlan, given: npt.NDArray[np.int64] | list[int], time_s: float
    ) -> None:
        subjects = np.asarray(given).tolist()
        tally = self._tally(plan.epoch)
        if not tally.batches.batches:
            tally.counts = np.unique(plan.subjects, return_counts=True)[1]
        tally.batches.add(subjects)
        self._moments.add(time_s, len({*subjects}), len(subjects))
        tally.patches += len(subjects)
        tally.note_change()

    def epochs(self, workers: int, max_length: int) -> tuple[EpochStats, ...]:
        """Return what was counted in each epoch in which the trainer asked for patches."""
        self._settle()
        return tuple(
            _known(epoch, tally, workers, max_length)
            for epoch, tally in sorted(self._tallies.items())
            if tally.begin_s is not None
        )

    def total(self, workers: int, max_length: int) -> EpochStats:
        """Return what was counted in all epochs."""
        self._settle()
        merged = _Tally()
        merged.merge(self._past)
        for _, tally in sorted(self._tallies.items()):
            merged.merge(tally)
        return _value(None, merged, workers, max_length)

    def _share_since_start(self, span: Span) -> float:
        """Return which share of some work was done after the very first patches came.

        Before, workers start and nobody could be busy: a short run would seem idle.
        """
        begin_s, end_s = span
        if self._started_s is None or end_s <= self._started_s:
            return 0.0
        return min((end_s - self._started_s) / (end_s - begin_s), 1.0)

    def _tally(self, epoch: int) -> _Tally:
        tally = self._tallies.get(epoch)
        if tally is None:
            tally = self._tallies.setdefault(epoch, _Tally())
            if len(self._tallies) > _EPOCHS_KEPT:
                # Not the least: a loaded state may be of an earlier epoch.
                first_counted = next(iter(self._tallies))
                self._past.merge(self._tallies.pop(first_counted))
        return tally


def _is_of_one(event: Began | Made) -> bool:
    """Tell whether a report is about one job, and so about one subject."""
    return isinstance(event, Began) or len({done.job for done in event.patches}) < 2


def _known(epoch: int, tally: _Tally, workers: int, max_length: int) -> EpochStats:
    """Return the value of a tally, which is not computed again before something was counted."""
    known, counted = tally.known, tally.counted  # before it is computed: another thread may count
    if known is None or known[0] != counted:
        known = tally.known = counted, _value(epoch, tally, workers, max_length)
    return known[1]


def _value(epoch: int | None, tally: _Tally, workers: int, max_length: int) -> EpochStats:
    seconds = dict(tally.seconds)
    worked = sum(seconds.get(stage, 0.0) for stage in WORKER_STAGES)
    elapsed = tally.elapsed()
    stages = tuple(
        StageTime(stage, took, _share(took, worked if stage in WORKER_STAGES else elapsed))
        for stage in STAGES
        for took in [seconds.get(stage, 0.0)]
    )
    return EpochStats(
        epoch=epoch,
        elapsed_s=elapsed,
        patches=tally.patches,
        nbytes=tally.nbytes,
        loads=tally.loads,
        batches=tally.batches.batches,
        stages=stages,
        first_wait_s=tally.first_wait_s,
        longest_wait_s=tally.longest_wait_s,
        fill_mean=_share(tally.filled, tally.takes * max_length),
        busy=min(_share(tally.worked_s, (elapsed - tally.start_s) * workers), 1.0),
        mixing=tally.batches.mixing(tally.counts),
    )


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
