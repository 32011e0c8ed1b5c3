"""A state says where a run is; whatever takes it up gives what would have followed."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import changing
import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler, RandomSampler, SequentialSampler

from voxloom import Queue, WeightedSampler
from voxloom.testing import assert_resumes_anywhere

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]

WAYS: dict[str, Callable[[Queue], Iterator[Any]]] = {
    "iteration": iter,
    "DataLoader": lambda queue: iter(DataLoader(queue, batch_size=1)),
    "batches": lambda queue: queue.batches(1),
}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"schedule": "fill"},
        {"schedule": "shuffle"},
        {"schedule": "shuffle", "max_length": 1},
        {"shuffle_patches": False},
        {"max_length": 2},
        {"transform": changing.draw_from_every_generator},
    ],
    ids=lambda options: " ".join(f"{k}={getattr(v, '__name__', v)}" for k, v in options.items()),
)
def test_resumes_after_every_patch(make_queue: MakeQueue, options: Any) -> None:
    assert_resumes_anywhere(lambda: make_queue(**options), epochs=2)


@pytest.mark.parametrize(
    ("workers", "every", "start_method"),
    [((0, 2), 1, "forkserver"), ((3, 0), 1, "forkserver"), ((1, 2), 4, "spawn")],
    ids=str,
)
@pytest.mark.usefixtures("fork_server")
def test_resumes_after_every_batch_with_other_workers(
    make_queue: MakeQueue, workers: tuple[int, int], every: int, start_method: str
) -> None:
    options = {"transform": changing.draw_from_every_generator, "start_method": start_method}
    before, after = (lambda n=n: make_queue(num_workers=n, **options) for n in workers)
    assert_resumes_anywhere(before, after, epochs=3, batch_size=4, every=every)


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_reading_resumes_after_every_patch(
    make_queue: MakeQueue, sign: Sign, way: str
) -> None:
    queue, other = make_queue(), make_queue()
    passes = [sign(WAYS[way](queue)) for _ in range(4)]
    for epoch in range(3):
        for delivered in range(len(queue)):
            state = {**queue.state_dict(), "epoch": epoch, "delivered": delivered}
            other.load_state_dict(state)
            assert sign(WAYS[way](other)) == passes[epoch][delivered:]
        assert sign(WAYS[way](other)) == passes[epoch + 1]


@pytest.mark.parametrize("way", WAYS)
def test_a_state_counts_what_was_handed_out(make_queue: MakeQueue, way: str) -> None:
    queue = make_queue()
    for epoch in range(2):
        for number, _ in enumerate(WAYS[way](queue), start=1):
            state = queue.state_dict()
            expected = (epoch + 1, 0) if number == len(queue) else (epoch, number)
            assert (state["epoch"], state["delivered"]) == expected


def test_a_queue_that_runs_is_sent_forwards_and_backwards(
    make_queue: MakeQueue, sign: Sign
) -> None:
    reference = make_queue()
    passes = [sign(reference.batches(1)) for _ in range(60)]
    queue = make_queue(num_workers=1)
    for epoch, delivered in [(0, 3), (0, 9), (2, 1), (1, 14), (59, 2), (0, 0)]:
        queue.load_state_dict({**queue.state_dict(), "epoch": epoch, "delivered": delivered})
        some = sign(islice(queue.batches(1), 4))
        assert some == passes[epoch][delivered : delivered + 4]


def test_a_loop_cannot_go_on_after_a_state_was_loaded(make_queue: MakeQueue) -> None:
    queue = make_queue()
    left = iter(queue)
    next(left)
    queue.load_state_dict(queue.state_dict())
    with pytest.raises(RuntimeError, match=r"load_state_dict\(\)"):
        next(left)


@pytest.mark.parametrize(
    ("changes", "ours", "theirs"),
    [
        ({"seed": 8}, "7", "8"),
        ({"max_length": 5}, "6", "5"),
        ({"shuffle_subjects": False}, "True", "False"),
        ({"shuffle_patches": False}, "True", "False"),
        ({"schedule": "fill"}, "'spread'", "'fill'"),
        ({"schedule": None}, "'spread'", "'shuffle'"),
        ({"count": 6}, "15", "18"),
        ({"samples": 4}, "15", "20"),
        (
            {"patch_size": 5},
            r"'UniformSampler of \(4, 4, 4\)'",
            r"'UniformSampler of \(5, 5, 5\)'",
        ),
        (
            {"sampler": WeightedSampler(4, "t1")},
            r"'UniformSampler of \(4, 4, 4\)'",
            r"'WeightedSampler of \(4, 4, 4\)'",
        ),
    ],
    ids=str,
)
def test_a_state_of_another_queue_is_refused_and_both_values_named(
    make_queue: MakeQueue, changes: dict[str, Any], ours: str, theirs: str
) -> None:
    state = make_queue(**changes).state_dict()
    queue = make_queue()
    with pytest.raises(ValueError, match=f"{theirs} in the state, {ours} in this queue"):
        queue.load_state_dict(state)
    assert (queue.state_dict()["epoch"], queue.state_dict()["delivered"]) == (0, 0)


def test_other_subjects_are_noticed_and_other_folders_are_not(make_queue: MakeQueue) -> None:
    def state(**more: Any) -> dict[str, Any]:
        return make_queue(subjects=changing.make_subjects(2, **more)).state_dict()

    assert state(site=["A", "B"]) == state(site=["A", "B"])
    assert state(site=["A", "B"]) != state(site=["B", "A"])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"version": 0}, "version 1"),
        ({"epoch": -1}, r"0 <= epoch < 2\*\*63 is expected, got -1"),
        ({"epoch": 2**70}, "0 <= epoch"),
        ({"delivered": 15}, "0 <= delivered < 15"),
        ({"delivered": 1.5}, "whole numbers"),
        ({"epoch": None}, "whole numbers"),
    ],
    ids=str,
)
def test_a_broken_state_is_refused(make_queue: MakeQueue, wrong: Any, message: str) -> None:
    queue = make_queue()
    with pytest.raises(ValueError, match=message):
        queue.load_state_dict({**queue.state_dict(), **wrong})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(
            (
                "replaced",
                value,
                r"'replaced' of the state lists \[epoch, subject, substitute\], of 5",
            )
            for value in (3, "all", [3], [[0, 1]], [[0, 1, 5]], [[0, 1, "2"]], [[-1, 1, 2]])
        ),
        ("plan", 3, "'plan' of the state maps names to values, got 3"),
        ("data", [1], r"'data' of the state maps names to values, got \[1\]"),
        *(
            ("visits", value, r"'visits' of the state maps epochs to lists of subjects, .* 5; got")
            for value in (3, [1], {"0": 3}, {"first": [1]}, {"0": [5]}, {"0": [1.5]}, {"-1": [1]})
        ),
        ("generator", "damaged", "'generator' of the state is that of the subject_sampler"),
    ],
    ids=str,
)
def test_a_damaged_value_is_named_and_changes_nothing(
    make_queue: MakeQueue, sign: Sign, field: str, value: Any, message: str
) -> None:
    def make() -> Queue:
        sampler = RandomSampler(range(5), generator=torch.Generator().manual_seed(1))
        return make_queue(shuffle_subjects=False, subject_sampler=sampler, on_error="replace")

    queue = make()
    with pytest.raises(ValueError, match=message):
        queue.load_state_dict({**queue.state_dict(), "delivered": 2, field: value})
    assert [sign(queue.batches(1)) for _ in range(2)] == [
        sign(batches) for other in [make()] for batches in (other.batches(1), other.batches(1))
    ]


@pytest.mark.parametrize("thing", [{}, None, [1], "state"])
def test_what_is_no_state_is_refused(make_queue: MakeQueue, thing: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"expected the state of a queue, .*got {re.escape(repr(thing))}"
    ):
        make_queue().load_state_dict(thing)


class Turned(SequentialSampler):
    """The first few subjects of each epoch, as many as the epoch says, from the last."""

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.epoch % 3 + 2, -1, -1))


@pytest.mark.parametrize(
    "options",
    [{"subject_weights": [1, 2, 3, 4, 5, 6]}, {"subject_sampler": Turned(range(6))}],
    ids=["weights", "sampler"],
)
def test_resumes_where_epochs_differ_in_length(make_queue: MakeQueue, options: Any) -> None:
    def make() -> Queue:
        subjects = changing.make_subjects(6, num_samples=[1, 2, 3, 1, 2, 6])
        return make_queue(subjects=subjects, shuffle_subjects=False, **options)

    assert len({len(make().plan(epoch)) for epoch in range(3)}) > 1
    assert_resumes_anywhere(make, epochs=3)


@pytest.mark.parametrize(("seed", "num_workers"), [(1, 0), (2, 0), (2, 1)])
def test_a_sampler_with_a_generator_of_its_own_resumes_in_epochs_that_were_not_read(
    make_queue: MakeQueue, sign: Sign, num_workers: int, seed: int
) -> None:
    """Also where workers have begun with what the sampler gave before the state was loaded."""

    def make(seed: int, num_workers: int = 0) -> Queue:
        sampler = RandomSampler(range(5), generator=torch.Generator().manual_seed(seed))
        options = {"shuffle_subjects": False, "num_workers": num_workers}
        return make_queue(subject_sampler=sampler, **options)

    queue = make(1)
    sign(queue.batches(2))
    going_on = queue.batches(2)
    sign(islice(going_on, 3))
    state = json.loads(json.dumps(queue.state_dict()))
    expected = [sign(going_on), *(sign(queue.batches(2)) for _ in range(3))]
    other = make(seed, num_workers)
    if num_workers:
        sign(islice(other.batches(2), 1))
    for _ in range(2):  # the second time backwards
        other.load_state_dict(state)
        assert [sign(other.batches(2)) for _ in range(4)] == expected


def test_ranks_of_a_distributed_sampler_go_on_from_the_state_of_any(
    make_queue: MakeQueue, sign: Sign
) -> None:
    """Often the first rank alone saves, and all load that."""

    def make(rank: int, world: int = 2) -> Queue:
        sampler = DistributedSampler(range(6), num_replicas=world, rank=rank, seed=3)
        subjects = changing.make_subjects(6)
        return make_queue(subjects=subjects, subject_sampler=sampler, shuffle_subjects=False)

    whole = [sign(make(rank).batches(2)) for rank in range(2)]
    assert whole[0] != whole[1]
    first = make(0)
    sign(islice(first.batches(2), 1))
    state = json.loads(json.dumps(first.state_dict()))
    for rank in range(2):
        queue = make(rank)
        queue.load_state_dict(state)
        assert sign(queue.batches(2)) == whole[rank][1:]
    with pytest.raises(ValueError, match=r"\[0, 2\] in the state, \[0, 3\] in this queue"):
        make(0, 3).load_state_dict(state)


def test_uneven_subjects_of_a_distributed_sampler_are_warned_of(make_queue: MakeQueue) -> None:
    subjects = changing.make_subjects(4, num_samples=[1, 2, 3, 1])
    sampler = DistributedSampler(range(4), num_replicas=2, rank=0)
    with pytest.warns(UserWarning, match="different numbers of steps"):
        make_queue(subjects=subjects, subject_sampler=sampler, shuffle_subjects=False)


def test_ranks_that_draw_their_own_seeds_are_warned_once(make_queue: MakeQueue) -> None:
    queue = make_queue(seed=None, rank=0, world=2)
    with pytest.warns(UserWarning, match="each rank drew a seed of its own"):
        list(queue)
    for quiet in (queue, make_queue(rank=0, world=2)):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="each rank drew")
            list(quiet)


def test_a_state_that_is_refused_leaves_the_generator_where_it_was(make_queue: MakeQueue) -> None:
    generator = torch.Generator().manual_seed(1)
    sampler = RandomSampler(range(5), generator=generator)
    queue = make_queue(shuffle_subjects=False, subject_sampler=sampler)
    state = {**queue.state_dict(), "seed": 8}
    queue.plan(1)
    before = generator.get_state()
    with pytest.raises(ValueError, match="seed: 8 in the state"):
        queue.load_state_dict(state)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize(
    "options", [{}, {"subject_weights": [1, 2, 3, 4, 0], "shuffle_subjects": False}], ids=str
)
def test_a_queue_that_drew_its_seed_goes_on_with_that_of_the_state(
    make_queue: MakeQueue, sign: Sign, num_workers: int, options: dict[str, Any]
) -> None:
    """Also where workers have begun with the seed that was drawn."""
    queue = make_queue(seed=None, transform=changing.draw_from_every_generator, **options)
    going_on = queue.batches(2)
    sign(islice(going_on, 3))
    state = json.loads(json.dumps(queue.state_dict()))
    expected = [sign(going_on), sign(queue.batches(2))]
    other = make_queue(
        seed=None,
        num_workers=num_workers,
        transform=changing.draw_from_every_generator,
        **options,
    )
    assert other.seed != queue.seed
    sign(islice(other.batches(2), 1))
    for _ in range(2):
        other.load_state_dict(state)
        assert [sign(other.batches(2)) for _ in range(2)] == expected
    assert other.seed == queue.seed


@pytest.mark.parametrize("wrong", [{"seed": "7"}, {"seed": 8, "delivered": 15}], ids=str)
def test_a_state_that_is_refused_leaves_the_seed_that_was_drawn(
    make_queue: MakeQueue, sign: Sign, wrong: dict[str, Any]
) -> None:
    queue = make_queue(seed=None)
    seed, first = queue.seed, sign(queue.batches(4))
    with pytest.raises(ValueError, match=r"seed: '7' in the state|delivered < 15"):
        queue.load_state_dict({**queue.state_dict(), **wrong})
    assert queue.seed == seed
    queue.load_state_dict({**queue.state_dict(), "epoch": 0, "delivered": 0})
    assert sign(queue.batches(4)) == first


@pytest.mark.parametrize("schedule", ["spread", "shuffle"])
def test_four_lanes_go_on_from_every_batch_on_one_two_or_four_ranks(
    make_queue: MakeQueue, sign: Sign, schedule: str
) -> None:
    options = {"schedule": schedule, "lanes": 4, "transform": changing.draw_from_every_generator}

    def follow(world: int, state: dict[str, Any] | None = None) -> list[str]:
        """Return what is left of two epochs, one patch of each rank in turn."""
        ranks = [make_queue(rank=rank, world=world, **options) for rank in range(world)]
        for queue in ranks if state else ():
            queue.load_state_dict(json.loads(json.dumps(state)))
        epochs = range(ranks[0].state_dict()["epoch"], 2)
        streams = [[name for _ in epochs for name in sign(queue.batches(1))] for queue in ranks]
        return [name for row in zip(*streams, strict=True) for name in row]

    whole = follow(1)
    for world in (1, 2, 4):
        given, queue = 0, make_queue(rank=0, world=world, **options)
        for batch in (batch for _ in range(2) for batch in queue.batches(4 // world)):
            given += world * len(batch["number"])
            for other in (1, 2, 4):
                assert follow(other, queue.state_dict()) == whole[given:]


def test_a_state_of_other_lanes_says_which_to_give(make_queue: MakeQueue) -> None:
    state = make_queue(rank=0, world=2).state_dict()
    with pytest.raises(ValueError, match="give lanes=2 on ranks that divide it"):
        make_queue().load_state_dict(state)
    make_queue(lanes=2).load_state_dict(state)


def test_a_state_is_small_whatever_the_data(make_queue: MakeQueue) -> None:
    queue = make_queue(count=300, samples=9, seed=2**63)
    assert len(json.dumps(queue.state_dict())) < 600


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_state_is_loaded_for_ranks_that_came_to_be_since(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch, sign: Sign, num_workers: int
) -> None:
    ranked = make_queue(rank=1, world=2)
    batches = ranked.batches(2)
    next(batches)
    state = ranked.state_dict()
    early = make_queue(num_workers=num_workers)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    early.load_state_dict(state)
    assert sign(early.batches(2)) == sign(batches)
