"""A simulated queue keeps the promises of a real one, whatever the settings."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.loading import PlanOptions, plan_epoch
from voxloom.loading._simulate import Pace, waiting_share
from voxloom.view._settings import Settings
from voxloom.view._simulation import Run, simulate

ANY = st.builds(
    Settings,
    subjects=st.integers(1, 12),
    samples_per_volume=st.integers(1, 10),
    max_length=st.sampled_from([1, 2, 3, 7, 20, 100]),
    num_workers=st.integers(0, 4),
    load_s=st.sampled_from([0.0, 0.3, 1.0, 4.0]),
    batch_size=st.integers(1, 9),
    step_s=st.sampled_from([0.05, 0.3]),
    shuffle_subjects=st.booleans(),
    shuffle_patches=st.booleans(),
    schedule=st.sampled_from(["spread", "fill"]),
    seed=st.integers(0, 5),
    epochs=st.integers(1, 2),
)


def held_over_time(run: Run) -> list[int]:
    """Return how many slots were held after each change; what is freed is freed first."""
    changes = sorted(
        [(patch.taken_s, -1) for patch in run.patches]
        + [(patch.granted_s, 1) for patch in run.patches]
    )
    return np.cumsum([change for _, change in changes]).tolist()


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_the_trainer_gets_every_epoch_in_the_order_of_the_library_s_plan(given: Settings) -> None:
    run = simulate(given)
    options = PlanOptions(
        given.seed,
        given.max_length,
        given.shuffle_subjects,
        given.shuffle_patches,
        given.schedule,
    )
    counts = [given.samples_per_volume] * given.subjects
    plans = [plan_epoch(counts, epoch, options) for epoch in range(given.epochs)]
    assert [patch.subject for patch in run.patches] == np.concatenate(
        [plan.subjects for plan in plans]
    ).tolist()
    taken = [patch.taken_s for patch in run.patches]
    assert taken == sorted(taken)
    assert [batch.count for batch in run.batches] == [
        min(given.batch_size, len(plan) - start)
        for plan in plans
        for start in range(0, len(plan), given.batch_size)
    ]


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_never_more_than_max_length_is_held_and_no_slot_holds_two_patches(given: Settings) -> None:
    run = simulate(given)
    assert max(held_over_time(run)) <= given.max_length
    for slot in {patch.slot for patch in run.patches}:
        spans = sorted((p.granted_s, p.taken_s) for p in run.patches if p.slot == slot)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


@given(ANY)
@settings(max_examples=60, deadline=None)
def test_a_patch_is_promised_then_made_then_taken_and_a_worker_loads_one_at_a_time(
    given: Settings,
) -> None:
    run = simulate(given)
    assert all(0 <= p.granted_s <= p.ready_s <= p.taken_s for p in run.patches)
    for worker in {load.worker for load in run.loads}:
        spans = [(load.begin_s, load.end_s) for load in run.loads if load.worker == worker]
        assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))


def test_without_workers_the_trainer_loads_and_waits_for_every_second_of_it() -> None:
    run = simulate(Settings(num_workers=0, subjects=6, load_s=0.5))
    waited = sum(batch.came_s - batch.asked_s for batch in run.batches)
    assert waited == pytest.approx(0.5 * len(run.loads))


def test_workers_that_are_fast_enough_let_nobody_wait_after_the_first_batch() -> None:
    assert simulate(Settings(num_workers=4, load_s=0.2)).waiting_share == 0.0


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("load_s", [0.5, 1.0, 2.0])
def test_it_agrees_with_the_estimate_that_a_queue_gives(workers: int, load_s: float) -> None:
    given = Settings(
        subjects=30, max_length=64, num_workers=workers, load_s=load_s, epochs=1, seed=3
    )
    [plan] = given.plans()
    pace = Pace(open_s=load_s, patch_s=0.0, step_s=given.step_s)
    estimate = waiting_share(
        plan, pace, batch_size=given.batch_size, slots=given.max_length, workers=workers
    )
    assert simulate(given).waiting_share == pytest.approx(estimate, abs=0.02)
