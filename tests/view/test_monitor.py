"""The live page tells what is so, and looking changes nothing."""

import gc
import json
import pickle
import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.view import Monitor, monitor

Make = Callable[..., Queue]


@pytest.fixture
def make_queue() -> Iterator[Make]:
    made: list[Queue] = []

    def make(count: int = 6, *, num_workers: int = 0) -> Queue:
        rng = np.random.default_rng(0)
        images = [ScalarImage(tensor=rng.random((1, 8, 8, 8))) for _ in range(count)]
        dataset = SubjectsDataset([Subject(t1=image) for image in images])
        options: Any = {"num_workers": num_workers, "seed": 1, "schedule": "spread"}
        made.append(Queue(dataset, 12, 4, UniformSampler(4), **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def look(page: Monitor) -> dict[str, Any]:
    with urllib.request.urlopen(page.address + "live?pictures=1") as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def test_before_the_first_patch_there_is_little_to_tell(make_queue: Make) -> None:
    with monitor(make_queue()) as page:
        state = look(page)
    assert (state["epoch"], state["delivered"], state["length"]) == (0, 0, 24)
    assert (state["held"], state["slots"], state["batches"]) == (0, [], [])
    assert [subject["state"] for subject in state["subjects"]] == ["waiting"] * 6


@pytest.mark.parametrize("num_workers", [0, 1])
def test_in_the_middle_of_an_epoch_it_agrees_with_the_queue(
    make_queue: Make, num_workers: int
) -> None:
    queue = make_queue(num_workers=num_workers)
    plan = queue.plan(0).subjects
    with monitor(queue) as page:
        look(page)
        batches = queue.batches(4)
        for _ in range(3):
            next(batches)
        state = look(page)
        assert (state["delivered"], state["maxLength"]) == (12, 12)
        assert [batch["number"] for batch in state["batches"]] == [3, 2, 1]
        assert [batch["subjects"] for batch in state["batches"]] == [
            plan[start : start + 4].tolist() for start in (8, 4, 0)
        ]
        assert state["held"] == len(state["slots"]) + len(state["leaving"]) <= 12
        assert state["ready"] == sum(slot["isReady"] for slot in state["slots"])
        assert len(state["pictures"]) == 4
        assert 0 < state["loads"] <= queue.stats().total.loads
        assert state["trainer"] == "reads epoch 0"
        list(batches)
        assert look(page)["trainer"] == "is between epochs"


def test_patches_that_leave_next_are_the_plan_s(make_queue: Make) -> None:
    queue = make_queue()
    with monitor(queue) as page:
        batches = queue.batches(4)
        next(batches)
        coming = [slot["subject"] for slot in look(page)["slots"] if slot["isNext"]]
    rest = queue.plan(0).subjects[4:8].tolist()
    assert not set(coming) - set(rest)


def test_of_many_subjects_only_those_in_work_are_told(make_queue: Make) -> None:
    queue = make_queue(65)
    with monitor(queue) as page:
        next(queue.batches(4))
        shown = look(page)["subjects"]
    assert 0 < len(shown) < 12
    assert {subject["state"] for subject in shown} == {"queued"}


def test_errors_are_shown() -> None:
    image = ScalarImage(tensor=np.zeros((1, 3, 3, 3)))
    queue = Queue(SubjectsDataset([Subject(t1=image)]), 4, 2, UniformSampler(8), seed=0)
    with queue, monitor(queue) as page:
        with pytest.raises(RuntimeError, match="patch"):
            next(queue.batches(2))
        [error] = look(page)["errors"]
    assert "8" in error


def test_the_order_is_the_same_with_and_without_a_monitor(make_queue: Make) -> None:
    alone = [batch["t1"]["data"] for batch in make_queue().batches(4)]
    queue = make_queue()
    watched = []
    with monitor(queue) as page:
        for batch in queue.batches(4):
            look(page)
            watched.append(batch["t1"]["data"])
    assert all((a == b).all() for a, b in zip(alone, watched, strict=True))


def test_a_closed_queue_can_still_be_looked_at(make_queue: Make) -> None:
    queue = make_queue()
    with monitor(queue) as page:
        list(queue.batches(4))
        queue.close()
        assert look(page)["slots"] == []


def test_a_monitor_keeps_no_queue_alive_and_says_that_it_is_gone() -> None:
    image = ScalarImage(tensor=np.zeros((1, 8, 8, 8)))
    queue = Queue(SubjectsDataset([Subject(t1=image)]), 4, 2, UniformSampler(4), seed=0)
    with monitor(queue) as page:
        del queue
        gc.collect()
        with pytest.raises(HTTPError, match="400") as gone:
            look(page)
    with gone.value as answer:
        assert answer.read() == b"the queue is gone"


def test_after_closing_nobody_looks(make_queue: Make) -> None:
    queue = make_queue()
    page = monitor(queue)
    assert queue._meter.onlooker is not None
    page.close()
    assert queue._meter.onlooker is None


def test_a_browser_opens_if_asked(make_queue: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with monitor(make_queue(), open_browser=True) as page:
        assert opened == [page.address]


def test_the_queue_opens_its_own_page(make_queue: Make) -> None:
    queue = make_queue()
    with queue.monitor() as page:
        assert look(page)["length"] == len(queue)


def test_live_says_where_the_page_is_and_closes_it_with_the_queue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    images = [ScalarImage(tensor=np.ones((1, 8, 8, 8)))] * 3
    dataset = SubjectsDataset([Subject(t1=image) for image in images])
    with Queue(dataset, 4, 2, UniformSampler(4), verbose="live") as queue:
        address = re.findall(r"the queue, live: (http://127\.0\.0\.1:\d+/\S+/)", said(capsys))[0]
        list(queue.batches(2))
        with urllib.request.urlopen(address + "live") as answer:
            assert json.load(answer)["epoch"] == 1
        pickle.loads(pickle.dumps(queue)).close()  # as spawned workers of a loader would have it
    with pytest.raises(URLError, match="refused"):
        urllib.request.urlopen(address)


def test_a_live_queue_that_is_gone_takes_its_page_along(capsys: pytest.CaptureFixture[str]) -> None:
    dataset = SubjectsDataset([Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8))))])
    queue = Queue(dataset, 4, 2, UniformSampler(4), verbose="live")
    address = said(capsys).split()[-1]
    del queue
    gc.collect()
    with pytest.raises(URLError, match="refused"):
        urllib.request.urlopen(address)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_any_other_word_for_verbose_is_an_error() -> None:
    dataset = SubjectsDataset([Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8))))])
    with pytest.raises(ValueError, match="verbose is True, False or 'live', got 'loud'"):
        Queue(dataset, 4, 2, UniformSampler(4), verbose="loud")  # type: ignore[arg-type]
