"""Whoever waits gets what is due; where nobody does, single patches go many in one message."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import QueueMemoryError
from voxloom.loading import _slots
from voxloom.loading._ledger import Ledger
from voxloom.loading._messages import Began, Cut, Finished, Open
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._slots import Layout, SlotMemory
from voxloom.subjects import ScalarImage, Subject

OUTLINE = Subject(t1=ScalarImage(tensor=np.zeros((1, 1, 1, 1), np.int16)))
LAYOUT = Layout.of(Subject(t1=ScalarImage(tensor=np.zeros((1, 4, 4, 4), np.int16))), (4, 4, 4))
SLOTS = 32


class Recorder:
    """An executor that only remembers what it was told."""

    num_workers = 2

    def __init__(self) -> None:
        self.messages: list[tuple[int, tuple[Any, ...]]] = []
        self.told: list[Any] = []

    def send(self, worker: int, *commands: Any) -> None:
        self.messages.append((worker, commands))
        self.told += commands


def plan(epoch: int) -> EpochPlan:
    count = np.arange(400)
    return EpochPlan(epoch, count % 5, count // 5, count)


def started() -> tuple[Ledger, Recorder]:
    """Return a ledger whose slots have a size and are all promised to single patches."""
    recorder = Recorder()
    ledger = Ledger(plan, recorder, SlotMemory(SLOTS, shared=False), alone=True)  # type: ignore[arg-type]
    ledger.seek(0, 0, afresh=True)
    ledger.pump()
    first = next(iter(ledger.running.values()))
    ledger.begin(first, Began(first.job.number, OUTLINE, LAYOUT, {}))
    for running in ledger.running.values():
        running.outline, running.layout = OUTLINE, LAYOUT
    ledger.pump()
    assert not ledger.free
    return ledger, recorder


def finish(ledger: Ledger, place: int) -> None:
    (running,) = [one for one in ledger.running.values() if place in one.waiting]
    running.outline, running.layout = OUTLINE, LAYOUT
    _, patch, _ = running.waiting[place]
    done = Finished(running.job.number, place, patch, (0, 0, 0))
    ledger.keep(running, done)


def test_slots_that_come_free_one_by_one_are_given_out_many_in_one_message() -> None:
    ledger, recorder = started()
    recorder.messages.clear()
    for place in range(64):
        finish(ledger, place)
        ledger.pump()
        ledger.release([ledger.take((0, place))])
        ledger.pump(eager=True)
    orders = [command for _, message in recorder.messages for command in message]
    cuts = [command for command in orders if isinstance(command, Cut)]
    assert sum(len(cut.patches) for cut in cuts) > 50
    assert sum(isinstance(command, Open) for command in orders) > 50
    assert len(recorder.messages) < 48  # four at a time for two workers; one by one it takes 64


def test_a_patch_that_is_due_gets_the_only_free_slot_at_once() -> None:
    ledger, recorder = started()
    for place in range(SLOTS):
        finish(ledger, place)
    last = ledger.take((0, SLOTS - 1))  # the others stay with whoever took them
    recorder.messages.clear()
    ledger.release([last])
    ledger.pump(eager=True)
    cuts = [one for _, message in recorder.messages for one in message if isinstance(one, Cut)]
    assert [place for cut in cuts for _, place, _, _ in cut.patches] == [SLOTS]


def start(counts: list[int], max_length: int) -> tuple[Ledger, Recorder]:
    recorder = Recorder()
    memory = SlotMemory(max_length, shared=False)
    options = PlanOptions(seed=3, max_length=max_length)
    ledger = Ledger(lambda epoch: plan_epoch(counts, epoch, options), recorder, memory)  # type: ignore[arg-type]
    ledger.seek(0, 0, afresh=True)
    ledger.pump()
    return ledger, recorder


def obey(ledger: Ledger, recorder: Recorder, stays: bool) -> list[tuple[int, int]]:
    """Carry out the next command; return the epochs and places of patches that it asks for."""
    assert recorder.told, "nobody has anything to do, and a patch is due"
    command = recorder.told.pop(0)
    keys = []
    if isinstance(command, Open) and not (command.is_known and stays):
        number = command.job.number
        stored: Any = ("a volume",) if stays else None
        began = Began(number, OUTLINE, LAYOUT, {}, is_lasting=stays, stored=stored)
        ledger.begin(ledger.running[number], began)
    elif isinstance(command, Cut):
        for number, place, patch, _ in command.patches:
            keys.append((ledger.running[number].job.epoch, place))
            ledger.keep(ledger.running[number], Finished(number, place, patch, (0, 0, 0)))
    ledger.pump(eager=not recorder.told)
    return keys


@given(st.lists(st.integers(1, 7), min_size=1, max_size=9), st.integers(1, 20), st.data())
def test_whatever_stays_the_next_patch_always_comes(
    counts: list[int], max_length: int, data: st.DataObject
) -> None:
    """Each visit may leave its volume in the memory cache, or the cache may have lost it."""
    ledger, recorder = start(counts, max_length)
    for key in itertools.product(range(3), range(sum(counts))):
        while key not in ledger.ready:
            obey(ledger, recorder, data.draw(st.booleans()))
        assert ledger.held <= max_length
        ledger.release([ledger.take(key)])
        ledger.pump()


def test_patches_of_volumes_that_stay_are_asked_for_as_they_are_due() -> None:
    ledger, recorder = start([6] * 5, 20)
    asked = []
    for key in itertools.product(range(3), range(30)):
        while key not in ledger.ready:
            asked += obey(ledger, recorder, stays=True)
        ledger.release([ledger.take(key)])
        ledger.pump()
    first, last = ([place for epoch, place in asked if epoch == n] for n in (0, 2))
    assert max(abs(place - n) for n, place in enumerate(first)) > 10  # six of a subject at a time
    assert max(abs(place - n) for n, place in enumerate(last)) <= 3  # five in two messages


def carry_out(ledger: Ledger, command: Any) -> None:
    """Open a subject that does not stay, or finish patches."""
    if isinstance(command, Open):
        running = ledger.running[command.job.number]
        ledger.begin(running, Began(command.job.number, OUTLINE, LAYOUT, {}))
    else:
        for number, place, patch, _ in command.patches:
            ledger.keep(ledger.running[number], Finished(number, place, patch, (0, 0, 0)))


def of_worker(recorder: Recorder, worker: int) -> list[Any]:
    """Return what a worker was told since it was last asked, and forget it."""
    told = [one for who, message in recorder.messages if who == worker for one in message]
    recorder.messages = [message for message in recorder.messages if message[0] != worker]
    return told


def test_what_is_not_open_yet_has_a_part_of_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume may take long to decode: what it will need lies idle meanwhile."""
    monkeypatch.setattr("voxloom.loading._ledger._PROMISED_BYTES", 2 * LAYOUT.nbytes)
    ledger, recorder = start([8] * 6, 32)
    slow, quick = of_worker(recorder, 0), of_worker(recorder, 1)
    assert [type(one) for one in slow + quick] == [Open, Open]
    for command in quick:
        carry_out(ledger, command)
    ledger.pump()
    (cut,), (part,) = of_worker(recorder, 1)[:1], of_worker(recorder, 0)
    assert (len(cut.patches), len(part.patches)) == (8, 3)
    carry_out(ledger, cut)
    ledger.pump()
    assert ledger.held == len(ledger.ready) + 3 + 3  # of the one that is slow, and of the next
    carry_out(ledger, slow[0])
    ledger.pump()
    assert len(of_worker(recorder, 0)[0].patches) == 5


def test_without_memory_for_the_patch_that_is_due_whoever_waits_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(size: int) -> None:
        if size < 12 * LAYOUT.nbytes:  # there was enough when the queue began
            raise MemoryError(f"{size} bytes are too many")

    monkeypatch.setattr(_slots, "check_room", refuse)
    ledger, recorder = start([3] * 4, 12)
    for command in list(recorder.told):
        carry_out(ledger, command)
    ledger.pump()
    with pytest.raises(QueueMemoryError, match=r"no memory for another patch of .* beside 0 that"):
        ledger.pump(eager=True)
