"""Which subjects an epoch visits: what cannot decide that is refused, and nobody waits for it."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import changing
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

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
    assert queue.subject_sampler is given
    assert make_queue().subject_sampler is None
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


class Rising:
    """Gives one subject in its first epoch, and one more in each that follows."""

    def __init__(self) -> None:
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.epoch + 1

    def __iter__(self) -> Iterator[int]:
        return iter([number % 3 for number in range(len(self))])


@pytest.mark.parametrize("options", [{}, {"num_workers": 1, "executor": "threads"}])
@pytest.mark.parametrize("schedule", ["spread", "fill"])
@pytest.mark.parametrize("seed", [None, 2, 4, 8])
def test_an_epoch_that_is_longer_than_the_first_has_room(
    make_queue: MakeQueue, options: dict[str, Any], schedule: str, seed: int | None
) -> None:
    """The first epoch decided how many slots there are, and a longer one waited for ever."""
    who = {"subject_sampler": Rising()} if seed is None else {"subject_weights": [1, 1, 1]}
    subjects = changing.make_subjects(3, num_samples=[1, 1, 9])
    queue = make_queue(
        max_length=18,
        subjects=subjects,
        schedule=schedule,
        seed=seed,
        shuffle_subjects=False,
        **who,
        **options,
    )
    for epoch in range(6):
        expected = queue.plan(epoch).subjects.tolist()
        numbers = [n for batch in queue.batches(2) for n in batch["number"].tolist()]
        assert numbers == expected


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
        ({"subject_sampler": RandomSampler(range(5))}, "cannot be set with subject_sampler: both"),
        ({"subject_weights": [1] * 5}, "shuffle_subjects cannot be set with subject_weights"),
        (
            {"subject_sampler": [0], "subject_weights": [1] * 5, "shuffle_subjects": False},
            "decide which subjects come; give one of them",
        ),
        ({"subject_sampler": Endless(), "shuffle_subjects": False}, "no __len__ method, Endless"),
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


def draw_three(seed: int = 5) -> RandomSampler:
    generator = torch.Generator().manual_seed(seed)
    return RandomSampler(range(3), replacement=True, num_samples=3, generator=generator)


def read_in_turn(epochs: int) -> list[list[int]]:
    sampler = draw_three()
    return [list(sampler) for _ in range(epochs)]


def test_epochs_are_read_in_turn_whichever_is_asked_for_first() -> None:
    visits = SampledVisits(draw_three(), 3)
    asked = [4, 0, 2, 6, 1, 3, 5]
    assert [visits(epoch).tolist() for epoch in asked] == [read_in_turn(7)[n] for n in asked]


@pytest.mark.parametrize("schedule", ["spread", "shuffle"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_workers_that_are_epochs_ahead_change_no_epoch_of_the_trainer(
    make_queue: MakeQueue, num_workers: int, schedule: str
) -> None:
    """Epochs of three patches: workers begin with the third before the first is handed out."""
    queue = make_queue(
        3, 1, 64, schedule=schedule, num_workers=num_workers,
        executor="threads" if num_workers else None,
        subject_sampler=draw_three(), shuffle_subjects=False,
    )  # fmt: skip
    given = [sorted(patch.number for patch in queue) for _ in range(8)]
    assert given == [sorted(order) for order in read_in_turn(8)]


def test_an_epoch_that_is_over_is_forgotten_and_not_read_again(make_queue: MakeQueue) -> None:
    queue = make_queue(3, 1, 64, subject_sampler=draw_three(), shuffle_subjects=False)
    for _ in range(4):
        list(queue)
    assert sorted(queue.plan(2).subjects.tolist()) == sorted(read_in_turn(3)[2])
    with pytest.raises(QueueError, match="the subjects of epoch 0 are not known any more"):
        queue.plan(0)
    assert sorted(patch.number for patch in queue) == sorted(read_in_turn(5)[4])


@pytest.mark.parametrize(
    "make",
    [
        lambda: RandomSampler(range(9)),
        lambda: SubsetRandomSampler(range(9)),
        lambda: WeightedRandomSampler([1.0] * 9, 9),
    ],
    ids=["random", "subset", "weighted"],
)
def test_a_sampler_of_torch_without_a_generator_draws_by_the_seed_and_not_from_the_trainer(
    make: Callable[[], Any],
) -> None:
    sampler = make()
    before = torch.get_rng_state()
    orders = [SampledVisits(sampler, 9, seed=1)(epoch).tolist() for epoch in range(3)]
    assert torch.equal(torch.get_rng_state(), before)
    assert sampler.generator is None
    torch.rand(7)
    again = SampledVisits(make(), 9, seed=1)
    assert [again(epoch).tolist() for epoch in range(3)] == orders
    others = SampledVisits(make(), 9, seed=2)
    assert len({tuple(order) for order in [*orders, others(0).tolist()]}) == 4


class Interrupted(RandomSampler):
    """A random sampler whose first reading is broken off in the middle."""

    times = 0

    def __iter__(self) -> Any:
        self.times += 1
        for index in super().__iter__():
            yield index
            if self.times == 1:
                raise KeyboardInterrupt


def test_a_sampler_whose_reading_was_interrupted_gives_the_same_when_it_is_read_again() -> None:
    sampler = Interrupted(range(9), generator=torch.Generator().manual_seed(5))
    visits = SampledVisits(sampler, 9)
    with pytest.raises(KeyboardInterrupt):
        visits(0)
    expected = list(RandomSampler(range(9), generator=torch.Generator().manual_seed(5)))
    assert visits(0).tolist() == expected


@pytest.mark.parametrize(
    "options",
    [
        {"subject_weights": [1, 2, 3, 4, 5]},
        {"subject_sampler": WeightedRandomSampler([1.0, 2, 3, 4, 5], 5)},
    ],
    ids=["weights", "sampler"],
)
def test_ranks_that_drew_seeds_of_their_own_draw_subjects_by_the_one_they_agree_on(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    monkeypatch.setattr("voxloom.loading._run_plan.agree_on", lambda seed: 7)
    options["shuffle_subjects"] = False
    ranks = [make_queue(rank=rank, world=2, seed=None, **options) for rank in range(2)]
    assert ranks[0].seed != ranks[1].seed
    shares = [[patch.number for patch in queue] for queue in ranks]
    alone = [patch.number for patch in make_queue(seed=7, lanes=2, **options)]
    assert shares == [alone[::2], alone[1::2]]
    assert [queue.seed for queue in ranks] == [7, 7]


class BadLater(Sampler[int]):
    """Gives three subjects in its first epoch, and in its second one that does not exist."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        return iter([0, 1, 2] if self.epoch == 0 else [9])

    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_is_wrong_with_a_later_epoch_is_said_when_that_begins(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(
        3, 1, 64, num_workers=num_workers, executor="threads" if num_workers else None,
        subject_sampler=BadLater(), shuffle_subjects=False,
    )  # fmt: skip
    assert sorted(patch.number for patch in queue) == [0, 1, 2]
    with pytest.raises(QueueError, match="gave 9, the data set has 3"):
        list(queue)
