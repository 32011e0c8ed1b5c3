from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom import Queue
from voxloom.loading._memory import QueueMemory
from voxloom.loading._messages import Began, Made
from voxloom.loading._meter import Meter
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._simulate import Pace, Simulation, simulate_epoch, waiting_share
from voxloom.loading._slots import Layout
from voxloom.loading._work import Job

MEMORY = QueueMemory(patches=6400, volumes=100, available=None)


def simulate(
    plan: EpochPlan, *, slots: int = 64, workers: int = 2, pace: Pace | None = None
) -> Simulation:
    return simulate_epoch(plan, MEMORY, batch_size=8, slots=slots, workers=workers, pace=pace)


def make_plan(samples: int = 8, max_length: int = 64, subjects: int = 60) -> EpochPlan:
    return plan_epoch([samples] * subjects, 0, PlanOptions(seed=0, max_length=max_length))


def test_each_subject_is_loaded_once_an_epoch() -> None:
    found = simulate(make_plan())
    assert (found.loads, found.patches, found.steps) == (60, 480, 60)
    assert found.loads_per_step == 1


def test_portions_of_one_subject_that_follow_each_other_are_one_load() -> None:
    options = PlanOptions(seed=0, max_length=4, shuffle_patches=False)
    plan = plan_epoch([16] * 5, 0, options)
    assert len(np.unique(plan.residencies)) > 5
    assert simulate(plan, slots=4).loads == 5


def test_a_longer_queue_mixes_better_and_holds_more() -> None:
    short, long = simulate(make_plan(max_length=16), slots=16), simulate(make_plan(max_length=240))
    assert short.mixing.distinct_mean < long.mixing.distinct_mean
    assert short.peak_patches <= 16 < long.peak_patches <= 240


def test_nothing_is_said_about_waiting_where_nothing_is_known() -> None:
    assert simulate(make_plan()).waiting_share is None
    assert Pace.measured(Meter().total(1, 8), batch_size=8) is None


@given(
    st.floats(0.01, 2), st.floats(0.0, 0.1), st.floats(0.01, 2), st.integers(1, 4), st.booleans()
)
@settings(max_examples=40, deadline=None)
def test_the_trainer_waits_no_less_with_slower_work(
    open_s: float, patch_s: float, step_s: float, workers: int, spread: bool
) -> None:
    options = PlanOptions(seed=0, max_length=16, schedule="spread" if spread else "fill")
    plan = plan_epoch([5] * 12, 0, options)
    shares = [
        waiting_share(plan, pace, batch_size=4, slots=16, workers=workers)
        for pace in (Pace(open_s, patch_s, step_s), Pace(2 * open_s, 2 * patch_s, step_s))
    ]
    assert 0 <= shares[0] <= shares[1] + 1e-9 < 1


def test_a_trainer_slower_than_its_workers_waits_almost_never() -> None:
    pace = Pace(open_s=1.0, patch_s=0.0, step_s=1.3)
    for length in (16, 64, 192):
        share = waiting_share(
            make_plan(max_length=length, subjects=400), pace, batch_size=8, slots=length, workers=1
        )
        assert share < 0.05


def test_a_trainer_faster_than_its_workers_waits_the_difference() -> None:
    pace = Pace(open_s=1.0, patch_s=0.0, step_s=0.25)
    plan = make_plan(subjects=400)
    share = waiting_share(plan, pace, batch_size=8, slots=64, workers=2)
    assert share == pytest.approx(0.5, abs=0.05)


def test_without_workers_the_trainer_waits_for_all_the_work() -> None:
    found = simulate(make_plan(), workers=0, pace=Pace(open_s=0.5, patch_s=0.0, step_s=0.5))
    assert found.waiting_share == pytest.approx(0.5)


def test_the_pace_is_what_was_measured() -> None:
    meter, plan = Meter(), make_plan()
    job = Job(0, 0, 0, ())
    for _ in range(2):
        meter.note_work(0, job, Began(0, None, Layout((), 0), {"read": 1.0, "decode": 2.0}))  # type: ignore[arg-type]
    meter.note_work(0, job, Made((), {"crop": 4.0, "patch transform": 4.0}))
    for begin in (0.0, 3.0, 6.0):
        meter.note_wait(0, (begin, begin + 1), is_first=begin == 0)
        meter.note_batch(plan, [0, 1, 2, 3])
    pace = Pace.measured(meter.total(1, 8), batch_size=8)
    assert pace == Pace(open_s=3.0, patch_s=pytest.approx(8 / 12), step_s=pytest.approx(4.0))


def test_it_prints_in_one_line() -> None:
    text = str(simulate(make_plan(), pace=Pace(0.1, 0.01, 0.2)))
    assert "60 loads, 1.00 a step" in text
    assert "waiting: " in text
    assert "\n" not in text


@pytest.mark.parametrize("pace", [3, "fast", (1.0, 2.0, 3.0)])
def test_what_is_no_pace_is_refused(make_queue: Callable[..., Queue], pace: Any) -> None:
    with pytest.raises(TypeError, match=r"pace is a voxloom\.loading\.Pace\(open_s=.*got"):
        make_queue().simulate(batch_size=2, pace=pace)
