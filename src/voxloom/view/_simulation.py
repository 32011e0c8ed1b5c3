"""How a queue would fare: its real plan, played by workers and a trainer made of numbers.

A discrete-event simulation (Banks et al., Discrete-Event System Simulation, chapter 3) of what
`voxloom.loading` does: jobs and slots are given out as its ledger gives them, in the order of
the plan that `plan_epoch` makes. Reading, decoding and transforming a subject take a fixed time;
cutting takes none. `page/simulation.js` does the same where no Python is at hand.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from voxloom.loading import EpochPlan
from voxloom.view._settings import Settings

# As in the ledger: one job is finished while the next already waits in the worker's pipe.
_JOBS_A_WORKER: Final = 2


@dataclass(frozen=True, slots=True)
class Load:
    """A subject that a worker opened: for which job, from when to when, in seconds."""

    worker: int
    subject: int
    epoch: int
    job: int
    begin_s: float
    end_s: float


@dataclass(slots=True)
class SimulatedPatch:
    """A patch of the plan, in which slot it was, and when what happened to it, in seconds."""

    subject: int
    patch: int
    epoch: int
    job: int
    slot: int = -1
    granted_s: float = -1.0
    ready_s: float = -1.0
    taken_s: float = -1.0


@dataclass(frozen=True, slots=True)
class SimulatedBatch:
    """A batch: its first patch, how many it has, when it was asked for and when it came."""

    epoch: int
    first: int
    count: int
    asked_s: float
    came_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """All that happened, in the order in which it did.

    Attributes
    ----------
    patches : tuple of SimulatedPatch
        Those of all epochs in the order of the plan.
    """

    settings: Settings
    patches: tuple[SimulatedPatch, ...]
    loads: tuple[Load, ...]
    batches: tuple[SimulatedBatch, ...]

    @property
    def elapsed_s(self) -> float:
        """Seconds until the last batch came."""
        return self.batches[-1].came_s

    @property
    def waiting_share(self) -> float:
        """Share of the time that the trainer waited, after the first batch."""
        first = self.batches[0].came_s
        waited = sum(batch.came_s - batch.asked_s for batch in self.batches[1:])
        return waited / (self.elapsed_s - first) if self.elapsed_s > first else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return asdict(self)


def simulate(settings: Settings) -> Run:
    """Return what happens with these settings.

    Examples
    --------
    >>> run = simulate(Settings(subjects=3, samples_per_volume=2, batch_size=2, epochs=1))
    >>> len(run.patches), len(run.loads), len(run.batches)
    (6, 3, 3)
    """
    return _Simulation(settings).run()


@dataclass(slots=True, eq=False)
class _Job:
    number: int
    subject: int
    epoch: int
    places: list[int]
    granted: int = 0
    worker: int = -1
    is_open: bool = False

    @property
    def is_granted(self) -> bool:
        return self.granted == len(self.places)


@dataclass(slots=True, eq=False)
class _Worker:
    waiting: deque[_Job] = field(default_factory=deque)
    opening: _Job | None = None
    end_s: float = 0.0
    last: tuple[int, int] | None = None


class _Simulation:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._now = 0.0
        plans = settings.plans()
        self._jobs = deque(_jobs(plans))
        self._patches = _patches(plans)
        for job in self._jobs:
            for place in job.places:
                self._patches[place].job = job.number
        slots = min(settings.max_length, 2 * len(plans[0]))
        self._free = list(range(slots))[::-1]
        self._workers = [_Worker() for _ in range(max(settings.num_workers, 1))]
        self._running: list[_Job] = []
        self._loads: list[Load] = []

    def run(self) -> Run:
        batches = []
        self._pump()
        for epoch, first, count in _batches(self._settings):
            asked = self._now
            for place in range(first, first + count):
                self._await(place)
                self._take(place)
            batches.append(SimulatedBatch(epoch, first, count, asked, self._now))
            self._pass_until(self._now + self._settings.step_s)
        return Run(self._settings, tuple(self._patches), tuple(self._loads), tuple(batches))

    def _await(self, place: int) -> None:
        while self._patches[place].ready_s < 0:
            self._start_idle()
            self._finish_next(self._busy())

    def _pass_until(self, time_s: float) -> None:
        """Let workers go on until a time; what ends right then is done before the trainer asks."""
        while (busy := self._busy()) and min(worker.end_s for worker in busy) <= time_s:
            self._finish_next(busy)
        self._now = time_s

    def _busy(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.opening is not None]

    def _finish_next(self, busy: list[_Worker]) -> None:
        worker = min(busy, key=lambda each: each.end_s)
        job = worker.opening
        assert job is not None
        self._now = worker.end_s
        worker.opening, worker.last, job.is_open = None, (job.subject, job.epoch), True
        for place in job.places[: job.granted]:
            self._patches[place].ready_s = self._now
        self._pump()

    def _take(self, place: int) -> None:
        patch = self._patches[place]
        patch.taken_s = self._now
        self._free.append(patch.slot)
        self._pump()

    def _pump(self) -> None:
        while self._assign() or self._grant() or self._forget():
            pass
        if self._settings.num_workers:
            self._start_idle()  # without workers, only what the trainer waits for is begun

    def _assign(self) -> bool:
        """Give the next job to the worker with the least to do. Tell whether one had room."""
        if not self._jobs:
            return False
        job = self._jobs[0]
        loads, holder = [0] * len(self._workers), None
        for running in self._running:
            loads[running.worker] += 1 if running.is_granted else _JOBS_A_WORKER
            if (running.subject, running.epoch) == (job.subject, job.epoch):
                holder = running.worker
        worker = loads.index(min(loads)) if holder is None else holder
        if loads[worker] >= _JOBS_A_WORKER:
            return False
        job.worker = worker
        self._workers[worker].waiting.append(self._jobs.popleft())
        self._running.append(job)
        return True

    def _grant(self) -> bool:
        """Give free slots to the first job that lacks some. Tell whether any were given."""
        job = next((job for job in self._running if not job.is_granted), None)
        if job is None or not self._free:
            return False
        for place in job.places[job.granted :][: len(self._free)]:
            patch = self._patches[place]
            patch.slot, patch.granted_s = self._free.pop(), self._now
            job.granted += 1
            if job.is_open:
                patch.ready_s = self._now
        return True

    def _forget(self) -> bool:
        """Forget finished jobs, but after the next portion of a subject went to its worker."""
        left = [job for job in self._running if not (job.is_open and job.is_granted)]
        forgot = len(left) < len(self._running)
        self._running = left
        return forgot

    def _start_idle(self) -> None:
        """Let idle workers open what waits."""
        for number, worker in enumerate(self._workers):
            if worker.opening is None and worker.waiting:
                worker.opening = job = worker.waiting.popleft()
                worker.end_s = self._now
                if worker.last != (job.subject, job.epoch):
                    worker.end_s += self._settings.load_s
                    span = self._now, worker.end_s
                    self._loads.append(Load(number, job.subject, job.epoch, job.number, *span))


def _patches(plans: list[EpochPlan]) -> list[SimulatedPatch]:
    return [
        SimulatedPatch(subject, patch, plan.epoch, -1)
        for plan in plans
        for subject, patch in zip(plan.subjects.tolist(), plan.patches.tolist(), strict=True)
    ]


def _jobs(plans: list[EpochPlan]) -> list[_Job]:
    jobs: list[_Job] = []
    before = 0
    for plan in plans:
        for residency in range(int(plan.residencies.max()) + 1):
            places = np.flatnonzero(plan.residencies == residency)
            subject = int(plan.subjects[places[0]])
            jobs.append(_Job(len(jobs), subject, plan.epoch, (places + before).tolist()))
        before += len(plan)
    return jobs


def _batches(settings: Settings) -> list[tuple[int, int, int]]:
    """Return epoch, first patch and size of each batch; the last of an epoch may be smaller."""
    length, size = settings.subjects * settings.samples_per_volume, settings.batch_size
    return [
        (epoch, epoch * length + start, min(size, length - start))
        for epoch in range(settings.epochs)
        for start in range(0, length, size)
    ]
