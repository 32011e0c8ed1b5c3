"""Single patches: many in one message where nobody waits, none kept back where somebody does."""

from typing import Any

import numpy as np

from voxloom.loading._ledger import Ledger
from voxloom.loading._messages import Began, Cut, Finished, Open
from voxloom.loading._plan import EpochPlan
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

    def send(self, worker: int, *commands: Any) -> None:
        self.messages.append((worker, commands))


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
