"""What is seen of a queue is what is so."""

from collections.abc import Callable
from typing import Any

import pytest

from voxloom import Queue
from voxloom.loading._sight import see


def test_a_queue_that_has_not_begun_holds_nothing(make_queue: Callable[..., Queue]) -> None:
    sight = see(make_queue())
    assert (sight.epoch, sight.delivered, sight.length, sight.subjects) == (0, 0, 15, 5)
    assert (sight.held, sight.slots, sight.workers, sight.is_open) == (0, (), (), False)


def test_after_each_patch_the_slots_are_those_of_the_plan(
    make_queue: Callable[..., Queue],
) -> None:
    queue = make_queue()
    plan = queue.plan(0)
    for number, _ in enumerate(queue, start=1):
        sight = see(queue)
        assert sight.held == queue.num_patches <= sight.slot_count == 6
        assert len({slot.slot for slot in sight.slots}) == len(sight.slots)
        for slot in sight.slots:
            if slot.epoch == 0:
                assert slot.place >= number
                assert plan.subjects[slot.place] == slot.subject
        if number < 15:
            assert (sight.delivered, sight.is_open) == (number, True)


def test_workers_are_seen_at_one_of_their_stages(make_queue: Callable[..., Queue]) -> None:
    queue = make_queue(num_workers=1)
    next(queue.batches(2))
    sight = see(queue)
    assert len(sight.workers) == 1
    assert sight.workers[0].subject in {None, *range(5)}
    assert sight.slots
    assert not {slot.slot for slot in sight.slots} & set(sight.leaving)


def test_a_closed_queue_is_empty(make_queue: Callable[..., Queue]) -> None:
    queue = make_queue()
    next(iter(queue))
    queue.close()
    assert see(queue).slots == ()


class Counted:
    """A sampler that counts how often it was read."""

    times = 0

    def __iter__(self) -> Any:
        self.times += 1
        return iter([0, 1, 2])

    def __len__(self) -> int:
        return 3


def test_looking_at_a_queue_reads_no_sampler_and_notices_no_ranks(
    make_queue: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks from a thread of its own, at any time."""
    sampler = Counted()
    queue = make_queue(subject_sampler=sampler, shuffle_subjects=False)
    assert (see(queue).length, sampler.times) == (9, 1)  # read when the queue was made
    queue._epoch = 5
    assert (see(queue).length, sampler.times) == (0, 1)
    ranked = make_queue()
    epochs = ranked._run.epochs
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert see(ranked).length == 15
    assert ranked._run.epochs is epochs
