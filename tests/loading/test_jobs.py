"""Jobs cover what the plan asks for, soonest due first, whatever comes to hand meanwhile."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxloom.loading._jobs import Jobs
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._work import Job

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
    for job in Jobs(
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


@given(counts, st.integers(0, 60), st.integers(1, 8), st.data())
def test_single_patches_that_are_due_soon_are_joined_by_subject(
    counts: list[int], end: int, most: int, data: st.DataObject
) -> None:
    at_hand = data.draw(st.sets(st.integers(0, len(counts) - 1)))

    def jobs() -> Jobs:
        plan = lambda epoch: plan_of(counts, 20, epoch)  # noqa: E731
        return Jobs(plan, 0, 0, itertools.count(), at_hand.__contains__)

    def take(jobs: Jobs, *, joins: bool) -> list[Job]:
        """Return the jobs of two epochs."""
        taken = []
        for job in jobs:
            taken.append(jobs.join(job, end, most) if joins else job)
            if job.epoch == 2:
                return taken
        raise AssertionError

    alone, joined = take(jobs(), joins=False), take(jobs(), joins=True)
    pairs = [
        sorted((job.epoch, *pair, job.subject) for job in found[:-1] for pair in job.places)
        for found in (alone, joined)
    ]
    assert pairs[0] == pairs[1]
    for job in joined:
        assert list(job.places) == sorted(job.places)
        if job.is_joined:
            assert job.subject in at_hand
            assert job.places[-1][0] < end
            assert len(job.places) <= most
    firsts = [(job.epoch, job.places[0][0]) for job in joined]
    assert firsts == sorted(firsts)
    fewer = Counter(
        (job.epoch, job.subject) for job in joined if job.is_joined and len(job.places) < most
    )
    if len(at_hand) == len(counts):  # else what lies between may not be passed over
        assert set(fewer.values()) <= {1}


def test_what_was_joined_is_not_joined_again_and_an_epoch_without_plan_loses_nothing() -> None:
    def plan(epoch: int) -> EpochPlan:
        if epoch:
            raise LookupError("there is none")
        return plan_of([3, 3], 20, epoch)

    jobs = Jobs(plan, 0, 0, itertools.count(), {0, 1}.__contains__)
    first = jobs.join(next(jobs), 99, 9)
    assert first.is_joined
    second = next(jobs)
    assert jobs.join(second, 99, 9) is second
    assert sorted(first.places + second.places)[-1][0] == 5
    assert next(jobs, None) is None
