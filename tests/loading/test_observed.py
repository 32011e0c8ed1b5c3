import json
import warnings
from collections.abc import Callable
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from voxloom import Queue
from voxloom._errors import QueueError
from voxloom.loading._simulate import Pace

MakeQueue = Callable[..., Queue]


@pytest.mark.parametrize("workers", [0, 1])
def test_stats_count_what_was_handed_out(make_queue: MakeQueue, workers: int) -> None:
    queue = make_queue(num_workers=workers)
    for _ in range(2):
        assert len(list(queue.batches(4))) == 4
    stats = queue.stats()
    assert [epoch.patches for epoch in stats.epochs] == [15, 15]
    assert (stats.total.patches, stats.total.batches) == (30, 8)
    assert stats.total.nbytes >= 30 * 4 * 4**3
    assert {"decode", "locate", "crop", "ship", "collate", "wait"} <= stats.seconds.keys()
    assert stats.executor.split()[0] == ("processes" if workers else "inline")
    assert stats["ready"] <= stats["held"] <= queue.max_length


def test_stats_are_of_any_way_to_read(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert sum(len(batch["number"]) for batch in DataLoader(queue, batch_size=5)) == 15
    assert queue.stats().total.batches == 3
    assert len(list(queue)) == 15
    assert queue.stats().total.patches == 30


def test_stats_before_the_start_are_zero(make_queue: MakeQueue) -> None:
    stats = make_queue(start_background=False).stats()
    assert (stats.total.patches, stats.ready, stats.held, stats.epochs) == (0, 0, 0, ())


def test_subjects_in_a_batch_are_those_of_the_batches(make_queue: MakeQueue) -> None:
    queue = make_queue()
    seen = [len(set(batch["number"].tolist())) for batch in queue.batches(5)]
    mixing = queue.stats().total.mixing
    assert mixing.distinct_mean == pytest.approx(sum(seen) / len(seen))
    assert mixing.distinct_min == min(seen)


def test_advice_asks_for_more_before_it_judges(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert "measure for longer" in queue.advice()
    for _ in range(4):
        assert len(list(queue.batches(4))) == 4
    assert "measure for longer" not in queue.advice()


@pytest.mark.parametrize("workers", [0, 1])
def test_replay_repeats_the_next_batches_and_leaves_the_queue_where_it_was(
    make_queue: MakeQueue, sign: Callable[..., list[str]], workers: int
) -> None:
    queue, other = make_queue(num_workers=workers), make_queue()
    replayed = sign(queue.replay(2, batch_size=4, steps=5))
    expected = sign(other.batches(4))
    assert replayed == [expected[n % 2] for n in range(5)]
    assert queue.stats().total.batches == 0
    assert sign(queue.batches(4)) == expected


@pytest.mark.parametrize("is_new", [False, True])
def test_what_is_measured_after_a_replay_is_all_of_the_training_and_none_of_the_replay(
    make_queue: MakeQueue, is_new: bool
) -> None:
    queue = make_queue()
    trained = 0 if is_new else sum(1 for _ in queue)
    before = queue.stats().total
    list(queue.replay(2, batch_size=3, steps=2))
    assert queue.stats().total == before
    trained += sum(1 for _ in queue)
    total = queue.stats().total
    assert (total.patches, total.nbytes) == (trained, trained * 4 * 4**3)
    assert total.seconds["crop"] > before.seconds.get("crop", 0.0)


def test_replay_and_simulate_take_the_size_of_batches_from_what_was_asked_for(
    make_queue: MakeQueue, sign: Callable[..., list[str]]
) -> None:
    queue, other = make_queue(), make_queue()
    assert [len(batch["index_ini"]) for batch in queue.replay(2)] == [1] * 15
    assert queue.simulate().steps == 15
    for ours, theirs in ((queue, DataLoader(queue, batch_size=6)), (other, other.batches(6))):
        assert [len(batch["index_ini"]) for batch in theirs] == [6, 6, 3]
        assert [len(batch["index_ini"]) for batch in ours.replay(2)] == [6, 6, 6]
        assert ours.simulate(max_length=4).steps == 3
    assert sign(queue.replay(1, steps=2)) == 2 * sign(queue.batches(6))[:1]


def test_a_queue_shows_how_it_was_asked_to_shuffle(make_queue: MakeQueue) -> None:
    queue = make_queue(shuffle_subjects=False)
    assert (queue.shuffle_subjects, queue.shuffle_patches) == (False, True)


def test_replay_in_the_middle_of_an_epoch_is_refused(make_queue: MakeQueue) -> None:
    queue = make_queue()
    batches = queue.batches(4)
    next(batches)
    with pytest.raises(QueueError, match="not in the middle"):
        queue.replay(2, batch_size=4, steps=5)


@pytest.mark.parametrize(
    ("batches", "steps", "message"),
    [
        (0, 3, "num_batches is a whole number of at least 1, got 0"),
        (1.5, 3, r"num_batches .* got 1\.5"),
        (2, -1, "steps is a whole number of at least 0, got -1"),
        (2, 2.5, r"steps .* got 2\.5"),
    ],
)
def test_replay_wants_batches_and_steps(
    make_queue: MakeQueue, batches: Any, steps: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_queue().replay(batches, batch_size=4, steps=steps)


def test_simulate_reads_nothing_and_starts_nothing(make_queue: MakeQueue) -> None:
    queue = make_queue(start_background=False, count=20)
    found = queue.simulate(4, max_length=30, samples_per_volume=6, num_workers=3)
    assert (found.patches, found.steps, found.loads) == (120, 30, 20)
    assert found.peak_patches <= 30
    assert found.memory.patches == queue.memory().patches // 6 * 30
    assert found.waiting_share is None
    assert queue.stats().total.loads == 0


def test_simulate_with_no_changes_says_what_the_queue_does(make_queue: MakeQueue) -> None:
    queue = make_queue(count=20)
    found = queue.simulate(4)
    assert found.memory == queue.memory() or found.memory.available != queue.memory().available
    assert found.memory.total == queue.memory().total
    assert len(list(queue.batches(4))) == found.steps
    stats = queue.stats().total
    assert (stats.loads, stats.mixing.distinct_mean) == (found.loads, found.mixing.distinct_mean)


def test_simulate_estimates_waiting_once_something_was_measured(make_queue: MakeQueue) -> None:
    queue = make_queue()
    assert queue.simulate(4, pace=Pace(1.0, 0.0, 1.0)).waiting_share == pytest.approx(5 / 9)
    assert len(list(queue.batches(4))) == 4
    share = queue.simulate(4, num_workers=2).waiting_share
    assert share is not None
    assert 0 <= share <= 1


@pytest.mark.parametrize("name", ["max_length", "batch_size", "samples_per_volume", "num_workers"])
@pytest.mark.parametrize("wrong", [-1, 2.5, "2"])
def test_simulate_wants_settings_that_a_queue_can_have(
    make_queue: Any, name: str, wrong: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} is a whole number of at least .*, got {wrong!r}"):
        make_queue().simulate(**{"batch_size": 4, name: wrong})


def test_the_trace_shows_all_workers_and_the_trainer(make_queue: MakeQueue, tmp_path: Path) -> None:
    queue = make_queue(num_workers=2)
    assert len(list(queue.batches(4))) == 4
    queue.trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [event for event in events if event["ph"] == "X"]
    assert {span["tid"] for span in spans} == {0, 1, 2}
    assert {span["name"] for span in spans} == {"open", "cut", "wait"}
    opened = [span["args"]["subject"] for span in spans if span["name"] == "open"]
    assert set(opened) == set(range(5))
    for tid in (1, 2):  # a worker does one thing at a time
        own = sorted((s["ts"], s["ts"] + s["dur"]) for s in spans if s["tid"] == tid)
        assert all(end <= start + 1e-3 for (_, end), (start, _) in pairwise(own))


def test_batches_of_few_subjects_are_warned_of_once(make_queue: MakeQueue) -> None:
    queue = make_queue(count=30, samples=20, max_length=20)
    with pytest.warns(UserWarning, match=r"batches of 16 come from .* \(max_length=20, samples"):
        next(queue.batches(16))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(islice(queue.batches(16), 3))) == 3


def test_an_order_that_was_asked_for_is_not_warned_of(make_queue: MakeQueue) -> None:
    queue = make_queue(count=30, samples=20, max_length=20, shuffle_patches=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(islice(queue.batches(16), 3))) == 3
