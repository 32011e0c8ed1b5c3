"""Which subjects an epoch visits: what cannot decide that is refused, and nobody waits for it."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import changing
import pytest
import torch
from torch.utils.data import BatchSampler, RandomSampler, Sampler, SequentialSampler

from voxloom import Queue
from voxloom._errors import QueueError
from voxloom.loading._epochs import SampledVisits, weighted_visits

MakeQueue = Callable[..., Queue]
pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little


class Endless(Sampler[int]):
    def __iter__(self) -> Any:
        return iter(int, 1)


@pytest.mark.parametrize("given", [[2, 0], torch.tensor([2, 0]), [torch.tensor(2), True - 1]])
def test_an_epoch_visits_what_the_sampler_gives(make_queue: MakeQueue, given: Any) -> None:
    queue = make_queue(subject_sampler=given, shuffle_subjects=False)
    assert sorted(patch.number for patch in queue) == [0, 0, 0, 2, 2, 2]


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        ([1, 5], "gave 5, the data set has 5 subjects"),
        ([-1], "gave -1, the data set"),
        ([0.5], r"gives indices of subjects, one at a time, got 0\.5"),
        (BatchSampler(SequentialSampler(range(4)), 2, False), r".* one at a time, got \[0, 1\]"),
    ],
)
def test_what_is_no_subject_is_named(make_queue: MakeQueue, sampler: Any, message: str) -> None:
    with pytest.raises(QueueError, match=f"subject_sampler {message}"):
        list(make_queue(subject_sampler=sampler, shuffle_subjects=False))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_epoch_without_patches_is_an_error_and_no_endless_search(
    make_queue: MakeQueue, num_workers: int
) -> None:
    options: dict[str, Any] = {"shuffle_subjects": False, "num_workers": num_workers}
    with pytest.raises(QueueError, match="epoch 0 has no patches: subject_sampler"):
        list(make_queue(subject_sampler=[], **options))
    subjects = changing.make_subjects(3, num_samples=[0, 2, 2])
    with pytest.raises(QueueError, match="leave no subject that gives any"):
        list(make_queue(subjects=subjects, subject_weights=[1, 0, 0], **options))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"one weight a subject, 5; got shape \(2,\)"),
        (3.0, r"one weight a subject, 5; got shape \(\)"),
        ([1, -1, 1, 1, 1], "not negative"),
        ([1, math.nan, 1, 1, 1], "are finite"),
        ([1e308] * 5, "their sum too"),
        ([0] * 5, "not all zero"),
        ({0: 1.0}, "are numbers, got {0: 1.0}"),
        ([10**400] * 5, "are numbers"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_weights_that_say_nothing_are_refused(
    make_queue: MakeQueue, weights: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=f"subject_weights .*{message}"):
        make_queue(subject_weights=weights, shuffle_subjects=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subject_sampler": RandomSampler(range(5))}, "subject_sampler and shuffle_subjects=True"),
        ({"subject_weights": [1] * 5}, "subject_weights and shuffle_subjects=True both decide"),
        (
            {"subject_sampler": [0], "subject_weights": [1] * 5, "shuffle_subjects": False},
            "decide which subjects come; give one of them",
        ),
        ({"subject_sampler": Endless(), "shuffle_subjects": False}, "has no __len__, Endless was"),
    ],
)
def test_two_that_would_decide_and_a_sampler_without_a_length_are_refused(
    make_queue: MakeQueue, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_queue(**options)


class Slow(Sampler[int]):
    """A sampler that is easily read twice at once, and counts how often it was."""

    def __init__(self) -> None:
        self.times = 0

    def __iter__(self) -> Any:
        self.times += 1
        for index in range(3):
            time.sleep(0.01)
            yield (index + self.times) % 3

    def __len__(self) -> int:
        return 3


def test_two_threads_that_ask_for_an_epoch_read_its_sampler_once() -> None:
    sampler = Slow()
    visits = SampledVisits(sampler, 3)
    with ThreadPoolExecutor(4) as threads:
        orders = [order.tolist() for order in threads.map(visits, [0] * 4)]
    assert orders == [[1, 2, 0]] * 4
    assert sampler.times == 1
    again = pickle.loads(pickle.dumps(visits))
    assert (again(0).tolist(), again(1).tolist()) == ([1, 2, 0], [2, 0, 1])


def test_threads_that_ask_for_drawn_epochs_get_the_same() -> None:
    shared = weighted_visits([1.0, 2.0, 3.0], 3, seed=5)
    expected = [weighted_visits([1.0, 2.0, 3.0], 3, seed=5)(epoch).tolist() for epoch in range(4)]

    def ask(thread: int) -> list[list[int]]:
        return [shared((thread + n) % 4).tolist() for n in range(3000)]

    with ThreadPoolExecutor(4) as threads:
        for thread, drawn in enumerate(threads.map(ask, range(4))):
            assert drawn == [expected[(thread + n) % 4] for n in range(3000)]
