"""What a queue would do with other settings: by its plan and by what was measured, not by data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voxloom.loading._memory import QueueMemory
from voxloom.loading._mixing import Mixing, measure_mixing
from voxloom.loading._plan import EpochPlan, Integers, renumber
from voxloom.loading._stats import OPENING_STAGES, PATCH_STAGES, EpochStats


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take.

    Attributes
    ----------
    open_s, patch_s : float
        Seconds in which a worker opens a subject, and makes one of its patches.
    step_s : float
        Seconds in which the trainer uses up a batch.
    """

    open_s: float
    patch_s: float
    step_s: float

    @classmethod
    def measured(cls, stats: EpochStats, batch_size: int) -> Pace | None:
        """Return the pace that was measured, or None where too little was."""
        if not stats.loads or not stats.patches or stats.batches < 2:
            return None
        seconds = stats.seconds
        opening = sum(seconds.get(stage, 0.0) for stage in OPENING_STAGES)
        cutting = sum(seconds.get(stage, 0.0) for stage in PATCH_STAGES)
        step = stats.step_s * batch_size / (stats.patches / stats.batches)
        return cls(opening / stats.loads, cutting / stats.patches, step)


def check_pace(pace: Any) -> Pace:
    """Return a pace, if it is one.

    Raises
    ------
    TypeError
        If it is something else.
    """
    if not isinstance(pace, Pace):
        raise TypeError(
            f"pace is a voxloom.loading.Pace(open_s=..., patch_s=..., step_s=...), "
            f"got {pace!r:.200}"
        )
    return pace


@dataclass(frozen=True, slots=True)
class Simulation:
    """What an epoch would be like.

    Attributes
    ----------
    patches, steps : int
        Patches and batches of the epoch.
    peak_patches : int
        The most finished patches that the plan needs at once.
    memory : QueueMemory
        What patches and volumes take at most.
    loads, loads_per_step : int, float
        How often a subject is opened, in all and for each batch.
    mixing : Mixing
        How many subjects batches come from.
    waiting_share : float or None
        Which share of the time the trainer would wait, after the first batch. None where
        nothing was measured and no times were given.
    """

    patches: int
    steps: int
    peak_patches: int
    memory: QueueMemory
    loads: int
    loads_per_step: float
    mixing: Mixing
    waiting_share: float | None

    def __str__(self) -> str:
        waiting = "unknown" if self.waiting_share is None else f"{self.waiting_share:.1%}"
        return (
            f"{self.patches} patches in {self.steps} steps; {self.loads} loads, "
            f"{self.loads_per_step:.2f} a step; at most {self.peak_patches} patches held; "
            f"{self.memory}; subjects in a batch: {self.mixing.distinct_mean:.2f} on average, "
            f"{self.mixing.distinct_min} at least; waiting: {waiting}"
        )


def simulate_epoch(
    plan: EpochPlan,
    memory: QueueMemory,
    *,
    batch_size: int,
    slots: int,
    workers: int,
    pace: Pace | None = None,
    alone: bool = False,
) -> Simulation:
    """Return what an epoch of this plan would be like.

    Parameters
    ----------
    plan : EpochPlan
        The order of the patches.
    memory : QueueMemory
        What the queue would take.
    batch_size, slots, workers : int
        Patches in a batch, patches that may be held, workers; 0 for the trainer's own thread.
    pace : Pace, optional
        How long things take.
    alone : bool
        Whether patches are read one by one, from subjects that are opened once and kept.
    """
    steps = -(-len(plan) // batch_size)
    loads = len(np.unique(plan.subjects)) if alone else _count_loads(plan)
    waiting = None
    if pace is not None:
        if alone:  # opening is spread over all patches
            pace = replace(pace, open_s=pace.open_s * loads / max(len(plan), 1))
        waiting = (
            waiting_share(plan, pace, batch_size=batch_size, slots=slots, workers=workers)
            if workers
            else _inline_share(len(plan) if alone else loads, plan, batch_size, pace)
        )
    return Simulation(
        patches=len(plan),
        steps=steps,
        peak_patches=plan.peak(),
        memory=memory,
        loads=loads,
        loads_per_step=loads / steps,
        mixing=measure_mixing(plan.subjects, batch_size),
        waiting_share=waiting,
    )


def waiting_share(
    plan: EpochPlan, pace: Pace, *, batch_size: int, slots: int, workers: int
) -> float:
    """Return the share of an epoch that the trainer waits, after the first batch.

    A discrete-event simulation of the queue's own rules: jobs go to the worker that is free
    first, in the order in which their first patches are due; slots are given in that order,
    when patches leave; a worker without slots waits with its volume.

    Examples
    --------
    >>> from voxloom.loading._plan import PlanOptions, plan_epoch
    >>> plan = plan_epoch([4] * 50, 0, PlanOptions(seed=0, max_length=16))
    >>> slow, fast = Pace(1.0, 0.0, 0.1), Pace(0.001, 0.0, 0.1)
    >>> waiting_share(plan, slow, batch_size=4, slots=16, workers=1) > 0.8
    True
    >>> waiting_share(plan, fast, batch_size=4, slots=16, workers=1)
    0.0
    """
    trainer = _Trainer(len(plan), batch_size, pace.step_s)
    free = [0.0] * workers
    granted = 0
    for places in _jobs(plan):
        worker = free.index(min(free))
        now = free[worker] + pace.open_s
        for place in places:
            if granted >= slots:
                now = max(now, trainer.taken_at(granted - slots))
            granted += 1
            now += pace.patch_s
            trainer.ready[place] = now
        free[worker] = now
    trainer.taken_at(len(plan) - 1)
    return trainer.waiting_share()


def scale_memory(
    memory: QueueMemory, slots: int, new_slots: int, workers: int, new_workers: int
) -> QueueMemory:
    """Return what a queue takes with another number of slots and workers.

    Examples
    --------
    >>> scale_memory(QueueMemory(80, 7, None), 8, 16, 1, 2)
    QueueMemory(patches=160, volumes=14, available=None, cached=0)
    """
    return replace(
        memory,
        patches=memory.patches // slots * new_slots,
        volumes=memory.volumes // max(workers, 1) * max(new_workers, 1),
    )


class _Trainer:
    """Takes patches in order, a batch at a time, and works on each batch."""

    def __init__(self, patches: int, batch_size: int, step_s: float) -> None:
        self.ready = [0.0] * patches
        self._taken: list[float] = []
        self._batch_size, self._step_s = batch_size, step_s
        self._now = self._first = self._waited = 0.0

    def taken_at(self, place: int) -> float:
        while len(self._taken) <= place:
            self._take(len(self._taken))
        return self._taken[place]

    def waiting_share(self) -> float:
        lasted = self._now - self._first
        return self._waited / lasted if lasted > 0 else 0.0

    def _take(self, place: int) -> None:
        if place and place % self._batch_size == 0:
            self._now += self._step_s
        waited = max(self.ready[place] - self._now, 0.0)
        self._now += waited
        if place < self._batch_size:
            self._first = self._now
        else:
            self._waited += waited
        self._taken.append(self._now)


def _jobs(plan: EpochPlan) -> list[list[int]]:
    groups = renumber(plan.residencies)
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [places.tolist() for places in np.split(order, edges)]


def _count_loads(plan: EpochPlan) -> int:
    """Count jobs; one that follows another of its subject finds the volume still open."""
    subjects: Integers = np.array([plan.subjects[places[0]] for places in _jobs(plan)])
    return 1 + int(np.count_nonzero(np.diff(subjects)))


def _inline_share(opened: int, plan: EpochPlan, batch_size: int, pace: Pace) -> float:
    work = opened * pace.open_s + len(plan) * pace.patch_s
    total = work + pace.step_s * -(-len(plan) // batch_size)
    return work / total if total > 0 else 0.0
