"""Jobs cover what the plan asks for, soonest due first, whatever comes to hand meanwhile."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxloom.loading._jobs import Jobs
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch

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
