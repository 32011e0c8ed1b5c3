import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from voxloom.loading import _meter
from voxloom.loading._messages import Began, Made
from voxloom.loading._meter import Meter
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._slots import Layout
from voxloom.loading._stages import KEPT
from voxloom.loading._work import Job

LAYOUT = Layout((), 0)


def plan_of(epoch: int = 0) -> EpochPlan:
    return plan_epoch([4] * 4, epoch, PlanOptions(seed=0, max_length=8))


def run_epoch(meter: Meter, epoch: int) -> None:
    plan, begin = plan_of(epoch), 100.0 * epoch
    job = Job(epoch, 0, epoch, ())
    meter.note_work(0, job, Began(0, None, LAYOUT, {"decode": 3.0, "locate": 1.0}, (0.0, 0.0)))
    meter.note_work(1, job, Made((), {"crop": 2.0}, (0.0, 0.0)))
    for place in range(4):
        meter.note_take(epoch, 1000, ready=place)
    meter.note_wait(epoch, (begin, begin + 5), is_first=True)
    meter.note_batch(plan, [0, 0, 1, 2])
    meter.note_wait(epoch, (begin + 9, begin + 10), is_first=False)
    meter.note_batch(plan, [3, 3, 3, 3])
    meter.note_collate(epoch, 0.5)


def test_an_epoch_adds_up() -> None:
    meter = Meter()
    run_epoch(meter, 0)
    [epoch] = meter.epochs(workers=2, max_length=8)
    assert (epoch.patches, epoch.nbytes, epoch.loads, epoch.batches) == (8, 4000, 1, 2)
    assert epoch.elapsed_s == 10
    assert epoch.seconds == {
        "decode": 3.0, "locate": 1.0, "crop": 2.0, "collate": 0.5, "wait": 6.0
    }  # fmt: skip
    assert (epoch.first_wait_s, epoch.longest_wait_s, epoch.waited_s) == (5, 1, 6)
    assert epoch.waiting_share == pytest.approx(1 / 5)
    assert epoch.patches_per_s == pytest.approx(0.8)
    assert epoch.step_s == pytest.approx(4)
    assert epoch.fill_mean == pytest.approx(6 / (4 * 8))
    assert (epoch.mixing.distinct_mean, epoch.mixing.distinct_min) == (2, 1)


def test_workers_are_busy_or_not_from_the_first_patches_on() -> None:
    meter, job = Meter(), Job(0, 0, 0, ())

    def work(worker: int, begin: float, end: float) -> None:
        meter.note_work(worker, job, Made((), {"crop": end - begin}, (begin, end)))

    work(0, 1005, 1009)  # workers start, then the first patches are made
    meter.note_wait(0, (1000, 1010), is_first=True)
    work(1, 1008, 1012)  # two of its four seconds count
    work(0, 1011, 1015)
    meter.note_wait(0, (1018, 1020), is_first=False)
    assert meter.total(workers=2, max_length=8).busy == pytest.approx(6 / 20)
    work(1, 1012, 1014)
    meter.note_wait(1, (1030, 1034), is_first=True)  # nobody starts in a second epoch
    meter.note_wait(1, (1038, 1040), is_first=False)
    assert meter.total(workers=2, max_length=8).busy == pytest.approx(8 / 40)
    work(1, 1040, 1090)
    assert meter.total(workers=2, max_length=8).busy == 1


def test_waiting_for_company_is_no_transport() -> None:
    meter, job, end = Meter(), Job(0, 0, 0, ()), time.perf_counter() - 100
    meter.note_work(0, job, Made((), {"crop": 1.0, KEPT: 99.0}, (end - 1, end)))
    meter.note_work(0, job, Made((), {"crop": 1.0}, (end - 1, end)))
    seconds = meter.total(workers=1, max_length=8).seconds
    assert seconds.keys() == {"crop", "ship"}
    assert 101 <= seconds["ship"] < 110


def test_shares_of_the_workers_are_of_their_work_and_others_of_the_time() -> None:
    meter = Meter()
    run_epoch(meter, 0)
    shares = {stage.stage: stage.share for stage in meter.total(2, 8).stages}
    assert (shares["decode"], shares["wait"]) == (pytest.approx(0.5), pytest.approx(0.6))
    assert sum(shares[s] for s in ("decode", "locate", "crop")) == pytest.approx(1)


def test_the_total_is_of_all_epochs_also_of_those_forgotten() -> None:
    meter = Meter()
    for epoch in range(60):
        run_epoch(meter, epoch)
    total, epochs = meter.total(2, 8), meter.epochs(2, 8)
    assert len(epochs) == 50
    assert epochs[-1].epoch == 59
    assert (total.patches, total.loads, total.elapsed_s) == (480, 60, 600)
    assert total.mixing.distinct_min == 1


def test_a_pass_that_resumes_an_epoch_adds_to_it_without_the_pause() -> None:
    meter = Meter()
    meter.note_wait(0, (0.0, 1.0), is_first=True)
    meter.note_wait(0, (1000.0, 1002.0), is_first=True)
    assert meter.total(1, 8).elapsed_s == 3


def test_a_value_that_was_asked_for_before_is_not_kept_once_more_is_counted() -> None:
    meter = Meter()
    run_epoch(meter, 0)
    before = meter.epochs(2, 8)
    meter.note_take(0, 500, ready=0)
    assert (before[0].nbytes, meter.epochs(2, 8)[0].nbytes) == (4000, 4500)


def test_nothing_counted_gives_zeros() -> None:
    total = Meter().total(2, 8)
    assert (total.patches, total.patches_per_s, total.waiting_share, total.step_s) == (0, 0, 0, 0)
    assert Meter().epochs(2, 8) == ()


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager_threads")
def test_totals_are_told_while_workers_report_stages_for_the_first_time() -> None:
    meter, done = Meter(), threading.Event()

    def report() -> None:
        for epoch in range(3000):
            job = Job(epoch, 0, epoch, ())
            for stage in ("read", "decode", "transform", "locate", "crop"):
                meter.note_work(0, job, Made((), {stage: 1.0}))
        done.set()

    thread = threading.Thread(target=report)
    thread.start()
    while not done.is_set():
        meter.total(1, 1)
    thread.join()
    assert sum(meter.total(1, 1).seconds.values()) == 15000


def test_what_was_counted_while_an_epoch_was_told_is_told_the_next_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meter, tell = Meter(), _meter._value
    run_epoch(meter, 0)

    def tell_and_count(*of_what: Any) -> Any:
        value = tell(*of_what)
        meter.note_collate(0, 0.5)  # as another thread might
        return value

    monkeypatch.setattr(_meter, "_value", tell_and_count)
    assert [meter.epochs(2, 8)[0].seconds["collate"] for _ in range(2)] == [0.5, 1.0]


def test_an_epoch_that_is_gone_back_to_after_many_is_counted() -> None:
    meter = Meter()
    for epoch in (*range(1, 60), 0):
        meter.note_wait(epoch, (0.0, 1.0), is_first=True)
    known = [stats.epoch for stats in meter.epochs(1, 8)]
    assert known == [0, *range(11, 60)]
    assert meter.total(1, 8).first_wait_s == 60
