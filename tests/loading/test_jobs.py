"""Jobs cover what the plan asks for, soonest due first, whatever comes to hand meanwhile."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxloom.loading._ledger import Ledger
from voxloom.loading._messages import Began, Cut, Finished, Open
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._running import jobs_from
from voxloom.loading._slots import Layout, SlotMemory
from voxloom.subjects import ScalarImage, Subject

OUTLINE = Subject(t1=ScalarImage(tensor=np.zeros((1, 1, 1, 1), np.int16)))
LAYOUT = Layout.of(Subject(t1=ScalarImage(tensor=np.zeros((1, 4, 4, 4), np.int16))), (4, 4, 4))

counts = st.lists(st.integers(1, 7), min_size=1, max_size=9)
bounds = st.integers(1, 20)


def plan_of(counts: list[int], max_length: int, epoch: int) -> EpochPlan:
    return plan_epoch(np.array(counts), epoch, PlanOptions(seed=3, max_length=max_length))


@given(counts, bounds, st.data())
def test_jobs_cover_an_epoch_soonest_due_first(
    counts: list[int], max_length: int, data: st.DataObject
) -> None:
    """Which subjects are at hand may change at any moment."""
    plan = plan_of(counts, max_length, 0)
    start = data.draw(st.integers(0, len(plan.subjects) - 1))
    at_hand: set[int] = set()
    left = {
        (place, int(plan.subjects[place]), int(plan.patches[place]))
        for place in range(start, len(plan.subjects))
    }
    before = -1
    for job in jobs_from(
        lambda epoch: plan_of(counts, max_length, epoch), 0, start, itertools.count(),
        at_hand.__contains__,
    ):  # fmt: skip
        if job.epoch > 0:
            break
        assert job.places[0][0] > before
        assert list(job.places) == sorted(job.places)
        before = job.places[0][0]
        left -= {(place, job.subject, patch) for place, patch in job.places}
        at_hand ^= {data.draw(st.integers(0, len(counts) - 1))}
    assert not left


class Workers:
    """An executor that remembers what it was told, until somebody does it."""

    num_workers = 2

    def __init__(self) -> None:
        self.told: list[Any] = []

    def send(self, worker: int, *commands: Any) -> None:
        self.told += commands


def start(counts: list[int], max_length: int) -> tuple[Ledger, Workers]:
    workers = Workers()
    memory = SlotMemory(max_length, shared=False)
    ledger = Ledger(lambda epoch: plan_of(counts, max_length, epoch), workers, memory)  # type: ignore[arg-type]
    ledger.seek(0, 0, afresh=True)
    ledger.pump()
    return ledger, workers


def obey(ledger: Ledger, workers: Workers, stays: bool) -> list[tuple[int, int]]:
    """Carry out the next command; return the epochs and places of patches that it asks for."""
    assert workers.told, "nobody has anything to do, and a patch is due"
    command = workers.told.pop(0)
    keys = []
    if isinstance(command, Open) and not (command.is_known and stays):
        number = command.job.number
        stored: Any = ("a volume",) if stays else None
        began = Began(number, OUTLINE, LAYOUT, {}, is_lasting=stays, stored=stored)
        ledger.begin(ledger.running[number], began)
    elif isinstance(command, Cut):
        for number, place, patch, _ in command.patches:
            keys.append((ledger.running[number].job.epoch, place))
            ledger.keep(ledger.running[number], Finished(number, place, patch, (0, 0, 0)))
    ledger.pump(eager=not workers.told)
    return keys


@given(counts, bounds, st.data())
def test_whatever_stays_the_next_patch_always_comes(
    counts: list[int], max_length: int, data: st.DataObject
) -> None:
    """Each visit may leave its volume in the memory cache, or the cache may have lost it."""
    ledger, workers = start(counts, max_length)
    for key in itertools.product(range(3), range(sum(counts))):
        while key not in ledger.ready:
            obey(ledger, workers, data.draw(st.booleans()))
        assert ledger.held <= max_length
        ledger.release([ledger.take(key)])
        ledger.pump()


def test_patches_of_volumes_that_stay_are_asked_for_as_they_are_due() -> None:
    ledger, workers = start([6] * 5, 20)
    asked = []
    for key in itertools.product(range(3), range(30)):
        while key not in ledger.ready:
            asked += obey(ledger, workers, stays=True)
        ledger.release([ledger.take(key)])
        ledger.pump()
    first, last = ([place for epoch, place in asked if epoch == n] for n in (0, 2))
    assert first != sorted(first)
    assert last == sorted(last)
