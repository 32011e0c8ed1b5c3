"""Subjects that cannot be used: tried again, or replaced by others that the plan decides."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty
import pytest

from voxloom import GridSampler, Queue, SubjectsDataset, UniformSampler
from voxloom._errors import PatchError

MakeQueue = Callable[..., Queue]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
    pytest.mark.usefixtures("nothing_is_left"),
]


@pytest.fixture
def make_queue() -> Iterator[MakeQueue]:
    made: list[Queue] = []

    def make(transform: Any, num_workers: int = 0, max_length: int = 6, **options: Any) -> Queue:
        dataset = SubjectsDataset(faulty.make_subjects(6), transform)
        sampler = options.pop("sampler", UniformSampler(4))
        # With a transform or without, the order is the same.
        options = {"seed": 3, "schedule": "spread", "start_method": "forkserver", **options}
        made.append(Queue(dataset, max_length, 4, sampler, num_workers, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def sign(queue: Queue, epochs: int = 1) -> list[str]:
    """Return a hash of each patch of some epochs."""
    return [
        hashlib.blake2b(patch.t1.array.tobytes(), digest_size=8).hexdigest()
        for _ in range(epochs)
        for patch in queue
    ]


@pytest.mark.parametrize(
    ("transform", "options"),
    [
        (faulty.FailOn(2), {}),
        (faulty.FailOn(2), {"max_length": 3}),
        (faulty.FailOn(2, 4), {"max_replaced": 2, "schedule": "fill"}),
        (None, {"patch_transform": faulty.FailOnPatch(), "max_replaced": 6}),
    ],
    ids=["subject", "in portions", "two subjects", "patch"],
)
def test_replaced_epochs_are_exact_and_the_same_for_any_number_of_workers(
    make_queue: MakeQueue, transform: Any, options: dict[str, Any]
) -> None:
    signs, replaced = [], []
    for num_workers in (0, 1, 2, 3):
        queue = make_queue(transform, num_workers, on_error="replace", **options)
        signs.append(sign(queue, epochs=2))
        replaced.append(queue.state_dict()["replaced"])
        queue.close()
    assert len(signs[0]) == 2 * 24
    assert all(other == signs[0] for other in signs[1:])
    assert all(other == replaced[0] != [] for other in replaced[1:])


def test_only_the_failed_subject_is_replaced_and_no_patch_comes_twice(
    make_queue: MakeQueue,
) -> None:
    whole = list(make_queue(None))
    queue = make_queue(faulty.FailOn(2), on_error="replace")
    mended = list(queue)
    substitute = queue.state_dict()["replaced"][0][2]
    for planned, given in zip(whole, mended, strict=True):
        if planned.number == 2:
            assert given.number == substitute
        else:
            assert (planned.t1.array == given.t1.array).all()
    assert Counter(patch.number for patch in mended)[substitute] == 8
    assert len({(patch.number, *patch.index_ini.tolist()) for patch in mended}) > 20


def test_a_run_goes_on_from_every_patch_with_the_same_substitutes(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.FailOn(2), on_error="replace", max_length=4)
    states, signs = [], []
    for patch in queue:
        signs.append(hashlib.blake2b(patch.t1.array.tobytes(), digest_size=8).hexdigest())
        states.append(json.loads(json.dumps(queue.state_dict())))
    after = sign(queue)
    for done, state in enumerate(states[:-1], start=1):
        resumed = make_queue(faulty.FailOn(2), on_error="replace", max_length=4)
        resumed.load_state_dict(state)
        assert sign(resumed, epochs=2) == signs[done:] + after
        assert resumed.state_dict()["replaced"] == queue.state_dict()["replaced"]


def test_the_state_lists_only_what_the_trainer_has_been_given(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.FailOn(2), num_workers=2, on_error="replace")
    first = queue.plan(0).subjects.tolist().index(2)
    for given, _ in enumerate(queue, start=1):
        assert bool(queue.state_dict()["replaced"]) == (given > first)


def test_a_replaced_subject_is_named_once_an_epoch_with_the_reason(
    make_queue: MakeQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue = make_queue(faulty.FailOn(2), on_error="replace")
    with caplog.at_level(logging.WARNING, logger="voxloom"):
        sign(queue, epochs=2)
    assert len(caplog.messages) == 2
    assert "subject 2" in caplog.messages[0]
    assert "number 2 is bad; in its place come patches of subject" in caplog.messages[0]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_more_failed_subjects_than_the_budget_are_all_listed(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(faulty.FailOn(1, 2, 5), num_workers, on_error="replace", max_replaced=2)
    with pytest.raises(PatchError, match="max_replaced=2") as caught:
        sign(queue)
    for number in (1, 2, 5):
        assert f"number {number} is bad" in str(caught.value)


def test_the_budget_counts_what_an_earlier_run_replaced(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.FailOn(2), on_error="replace")
    sign(queue)
    resumed = make_queue(faulty.FailOn(3), on_error="replace")
    resumed.load_state_dict(queue.state_dict())
    with pytest.raises(PatchError, match=r"(?s)max_replaced=1.*subject 2, earlier.*number 3"):
        sign(resumed)


def test_the_default_budget_is_a_hundredth_of_the_subjects_and_at_least_one(
    make_queue: MakeQueue,
) -> None:
    queue = make_queue(faulty.FailOn(1, 3), on_error="replace")
    with pytest.raises(PatchError, match="max_replaced=1"):
        sign(queue)


@pytest.mark.parametrize("num_workers", [0, 1, 2])
def test_work_that_fails_once_is_done_again(
    make_queue: MakeQueue, tmp_path: Path, num_workers: int
) -> None:
    expected = sign(make_queue(None))
    transform = faulty.FailFirst(2, 4, folder=tmp_path)
    assert sign(make_queue(transform, num_workers, on_error="retry")) == expected
    for number in ("2", "4"):  # workers may be ahead, in the next epoch, where nothing fails
        assert (tmp_path / number).read_text().startswith("xx")


def test_work_is_not_done_again_more_often_than_asked(
    make_queue: MakeQueue, tmp_path: Path
) -> None:
    transform = faulty.FailFirst(2, folder=tmp_path, times=9)
    queue = make_queue(transform, on_error="retry", retries=3)
    with pytest.raises(OSError, match="number 2 is away"):
        sign(queue)
    assert (tmp_path / "2").read_text() == "xxxx"


def test_a_grid_is_replaced_by_places_of_another(make_queue: MakeQueue) -> None:
    sampler = GridSampler(None, patch_size=4)
    queue = make_queue(faulty.FailOn(2), on_error="replace", sampler=sampler)
    counts = Counter(patch.number for patch in queue)
    assert sum(counts.values()) == len(queue) == 6 * 8
    assert sorted(counts.values()) == [8, 8, 8, 8, 16]


def test_without_another_subject_the_error_says_so() -> None:
    dataset = SubjectsDataset(faulty.make_subjects(1), faulty.FailOn(0))
    queue = Queue(dataset, 4, 4, UniformSampler(4), seed=0, on_error="replace")
    with pytest.raises(LookupError, match="number 0 is bad") as caught:
        sign(queue)
    assert "there is no other subject that could take its place" in caught.value.__notes__


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"on_error": "ignore"}, "on_error is 'raise', 'retry' or 'replace', got 'ignore'"),
        ({"retries": -1}, "retries is a whole number of at least 0, got -1"),
        ({"max_replaced": 1.5}, r"max_replaced is a whole number of at least 0, got 1\.5"),
        ({"timeout": 0}, "timeout is a positive number of seconds, got 0"),
    ],
)
def test_options_that_cannot_be_used_are_refused(
    make_queue: MakeQueue, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_queue(None, **options)
