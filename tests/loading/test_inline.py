"""Work in the trainer's own thread can be interrupted, and goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from voxloom import Queue, Subject

MakeQueue = Callable[..., Queue]


class Interrupt:
    """Raises what Ctrl-C raises, at its third call."""

    calls = 0

    def __call__(self, subject: Subject) -> Subject:
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return subject


def read_until_interrupt(queue: Queue) -> list[int]:
    numbers: list[int] = []
    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        numbers.extend(patch.number for patch in queue)
    return numbers


def test_after_an_interrupt_the_state_gives_what_was_left(make_queue: MakeQueue) -> None:
    queue = make_queue(transform=Interrupt())
    read_until_interrupt(queue)
    delivered = queue.state_dict()["delivered"]
    queue.load_state_dict(queue.state_dict())
    left = [patch.number for patch in queue]
    assert left == queue.plan(0).subjects.tolist()[delivered:]


def test_after_an_interrupt_the_next_loop_is_a_whole_epoch(make_queue: MakeQueue) -> None:
    queue = make_queue(transform=Interrupt())
    read_until_interrupt(queue)
    assert queue.state_dict()["delivered"] > 0
    assert [patch.number for patch in queue] == queue.plan(1).subjects.tolist()
