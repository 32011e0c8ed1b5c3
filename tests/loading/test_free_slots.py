"""Slots are opened as they are needed, never more than may be, and none twice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom import Queue
from voxloom._errors import QueueMemoryError
from voxloom.loading import _slots
from voxloom.loading._free_slots import FreeSlots
from voxloom.loading._slots import SlotMemory


def make(count: int) -> FreeSlots:
    memory = SlotMemory(count, shared=False)
    memory.reserve(64)
    return FreeSlots(memory)


@given(
    count=st.integers(1, 20),
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 25)), max_size=30),
)
def test_each_slot_is_free_or_held(count: int, steps: list[tuple[bool, int]]) -> None:
    slots, held = make(count), list[int]()
    for takes, number in steps:
        if takes:
            found = min(number, slots.have(number))
            assert found == min(number, count - len(held))
            held += [slots.take() for _ in range(found)]
        else:
            slots.put(*held[:number])
            del held[:number]
        assert sorted([*slots, *held]) == list(range(count))
        assert (slots.held, len(slots)) == (len(held), count - len(held))
        assert slots.is_out == (len(slots) == 0)


def test_slots_come_in_the_order_in_which_they_came_free() -> None:
    slots = make(4)
    slots.have(3)
    assert [slots.take() for _ in range(3)] == [0, 1, 2]
    slots.put(2, 0)
    assert slots.have(3) == 3
    assert [slots.take() for _ in range(3)] == [2, 0, 3]


def test_without_memory_there_are_as_many_as_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> None:
        raise MemoryError(f"{size} bytes are too many")

    slots = make(5)
    slots.have(2)
    with monkeypatch.context() as patched:
        patched.setattr(_slots, "check_room", refuse)
        assert slots.have(4) == 2
        assert slots.is_refused
        assert not slots.is_out
        slots.take(), slots.take()
        assert slots.is_out
    assert slots.have(1) == 1
    assert not slots.is_refused


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("room", [0, 3, 7, 11])
def test_an_epoch_goes_on_as_planned_or_says_that_memory_ran_out(
    make_queue: Callable[..., Queue],
    sign: Callable[[Any], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    room: int,
    num_workers: int,
) -> None:
    """Others may take, after a queue began, the memory that there was for its slots."""
    expected = sign(make_queue(max_length=12, samples=4))
    queue = make_queue(max_length=12, samples=4, num_workers=num_workers)
    opened = []

    def refuse(size: int) -> None:
        opened.append(size)
        if sum(opened[1:]) > room * opened[0] // 12:  # the first is asked for all slots
            raise MemoryError(f"{opened.pop()} bytes are too many")

    monkeypatch.setattr(_slots, "check_room", refuse)
    with suppress(QueueMemoryError):
        assert sign(queue) == expected
        assert room
        return
    assert room < 11
