import os
from dataclasses import replace

import pytest

from voxloom.loading._advice import advise
from voxloom.loading._meter import Meter
from voxloom.loading._stats import STAGES, QueueStats, StageTime


def make_stats(
    *,
    executor: str = "processes (spawn)",
    waited: float = 5.0,
    workers: int = 1,
    loads: int = 100,
    seconds: dict[str, float] | None = None,
) -> QueueStats:
    times = {"wait": waited, **(seconds or {})}
    work = sum(took for name, took in times.items() if name not in ("wait", "ship", "collate"))
    whole = {"ship": 10.0, "collate": 10.0, "wait": 10.0}
    stages = tuple(
        StageTime(name, times.get(name, 0.0), times.get(name, 0.0) / whole.get(name, work or 1))
        for name in STAGES
    )
    total = replace(
        Meter().total(workers, 64),
        elapsed_s=10.0,
        patches=800,
        loads=loads,
        batches=100,
        stages=stages,
        busy=work / 10 / workers,
    )
    return QueueStats(executor, workers, 64, 0, 0, (), total)


@pytest.mark.parametrize(
    ("stage", "cure"),
    [
        ("read", "faster or local disk"),
        ("decode", "prepare the data"),
        ("transform", "patch_transform"),
        ("locate", "smaller or simpler map"),
        ("crop", "patch_size"),
        ("patch transform", "GPU"),
    ],
)
def test_busy_workers_are_told_their_slowest_stage_and_a_cure(stage: str, cure: str) -> None:
    advice = advise(make_stats(seconds={stage: 8.0, "crop" if stage != "crop" else "read": 1.0}))
    assert f"{stage!r} takes 89% of their work" in advice
    assert cure in advice


def test_more_workers_are_advised_only_where_cores_are_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert "use more workers: 1 run on 4 cores" in advise(make_stats(seconds={"decode": 9.0}))
    busy = advise(make_stats(seconds={"decode": 36.0}, workers=4))
    assert "bottleneck" in busy
    assert "more workers" not in busy


def test_more_workers_are_not_advised_where_they_were_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    assert "workers:" not in advise(make_stats(seconds={"decode": 9.0}), wants_workers=False)
    inline = advise(make_stats(executor="inline", seconds={"decode": 4.0}), wants_workers=False)
    assert "num_workers" not in inline
    assert "memory_cache" in inline


def test_a_trainer_that_hardly_waits_is_the_bottleneck() -> None:
    assert "trainer is the bottleneck" in advise(make_stats(waited=0.1, seconds={"crop": 9.0}))


def test_slow_transport_is_named() -> None:
    advice = advise(make_stats(seconds={"crop": 1.0, "ship": 2.0, "collate": 2.0}))
    assert "Transport is the bottleneck" in advice
    assert "40%" in advice
    assert "DataLoader" not in advice  # only queue.batches says how long it collates


def test_batches_are_only_advised_to_who_collates_elsewhere() -> None:
    advice = advise(make_stats(seconds={"crop": 1.0, "ship": 12.0}))
    assert "took 100% of it" in advice
    assert advice.endswith("or queue.batches(...) in place of a DataLoader.")


def test_workers_that_wait_want_a_longer_queue() -> None:
    assert "larger max_length than 64" in advise(make_stats(seconds={"crop": 1.0}))


def test_work_in_the_trainers_thread_wants_workers() -> None:
    advice = advise(make_stats(executor="inline", seconds={"decode": 4.0}))
    assert "num_workers=" in advice
    assert "'decode'" in advice


def test_too_little_to_judge_is_said() -> None:
    assert "measure for longer" in advise(make_stats(loads=1))


def test_few_subjects_that_were_all_opened_are_enough_to_judge() -> None:
    stats = make_stats(loads=1, seconds={"crop": 9.0})
    assert "bottleneck" in advise(replace(stats, epochs=(stats.total, stats.total)))


def test_epochs_of_one_batch_do_not_tell_who_waits() -> None:
    stats = make_stats(waited=10.0)
    advice = advise(replace(stats, total=replace(stats.total, first_wait_s=10.0)))
    assert "each epoch is one batch: use smaller batches" in advice


def test_advice_is_one_sentence() -> None:
    for stats in (make_stats(), make_stats(waited=0.1), make_stats(seconds={"decode": 8.0})):
        text = advise(stats)
        assert text.endswith(".")
        assert ". " not in text
        assert "\n" not in text
