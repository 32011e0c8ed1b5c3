"""Whoever waits gets what is due; where nobody does, single patches go many in one message."""

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import QueueMemoryError
from voxloom.loading import _slots
from voxloom.loading._jobs import Jobs
from voxloom.loading._ledger import Ledger
from voxloom.loading._messages import Began, Cut, Finished, Open
from voxloom.loading._plan import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._slots import Layout, SlotMemory
from voxloom.subjects import ScalarImage, Subject

OUTLINE = Subject(t1=ScalarImage(tensor=np.zeros((1, 1, 1, 1), np.int16)))
LAYOUT = Layout.of(Subject(t1=ScalarImage(tensor=np.zeros((1, 4, 4, 4), np.int16))), (4, 4, 4))
SLOTS = 16


class Recorder:
    """An executor that only remembers what it was told."""

    num_workers = 2

    def __init__(self) -> None:
        self.messages: list[tuple[int, tuple[Any, ...]]] = []

    def send(self, worker: int, *commands: Any) -> None:
        self.messages.append((worker, commands))

    @property
    def busy(self) -> list[int]:
        """The workers that have something to do."""
        return sorted({worker for worker, _ in self.messages})

    def take(self, worker: int) -> Any:
        """Return what a worker has to do first, and forget it."""
        place = next(n for n, (who, _) in enumerate(self.messages) if who == worker)
        _, (command, *rest) = self.messages[place]
        self.messages[place : place + 1] = [(worker, tuple(rest))] if rest else []
        return command


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


def start(
    counts: list[int], max_length: int, *, quick: bool = False, alone: bool = False
) -> tuple[Ledger, Recorder]:
    recorder = Recorder()
    memory = SlotMemory(max_length, shared=False)
    schedule: Any = "shuffle" if alone else "spread"
    options = PlanOptions(seed=3, max_length=max_length, schedule=schedule)
    ledger = Ledger(
        lambda epoch: plan_epoch(counts, epoch, options),
        recorder,  # type: ignore[arg-type]
        memory,
        alone=alone,
    )
    if quick:
        ledger.note_work(99, 0.0)
    ledger.seek(0, 0, afresh=True)
    ledger.pump()
    return ledger, recorder


def carry_out(ledger: Ledger, command: Any, *, stays: bool = False) -> list[tuple[int, int]]:
    """Carry out a command; return the epochs and places of patches that it asks for."""
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
    return keys


def obey(ledger: Ledger, recorder: Recorder, worker: int, stays: bool) -> list[tuple[int, int]]:
    """Carry out a worker's next command, and let the ledger go on."""
    keys = carry_out(ledger, recorder.take(worker), stays=stays)
    ledger.pump(eager=not recorder.messages)
    return keys


@given(
    st.lists(st.integers(1, 7), min_size=1, max_size=9),
    st.integers(1, 20),
    st.booleans(),
    st.booleans(),
    st.data(),
)
def test_whatever_stays_the_next_patch_always_comes(
    counts: list[int], max_length: int, quick: bool, alone: bool, data: st.DataObject
) -> None:
    """Each visit may leave its volume in the memory cache, or the cache may have lost it.

    Workers may be as quick or slow as they like, and patches joined or not.
    """
    ledger, recorder = start(counts, max_length, quick=quick, alone=alone)
    for key in itertools.product(range(3), range(sum(counts))):
        while key not in ledger.ready:
            assert recorder.busy, "nobody has anything to do, and a patch is due"
            worker = data.draw(st.sampled_from(recorder.busy))
            obey(ledger, recorder, worker, data.draw(st.booleans()))
        assert ledger.held <= max_length
        ledger.release([ledger.take(key)])
        ledger.pump()


def ask_for_all() -> tuple[list[tuple[int, int]], int]:
    """Return which frame each of many patches has, and how many a job has at most."""
    ledger, recorder = start([40] * 3, 60, quick=True, alone=True)
    frames, most, place = [], 0, 0
    while place < 100:
        cuts = [c for _, told in recorder.messages for c in told if isinstance(c, Cut)]
        asked = [patch for cut in cuts for patch in cut.patches]
        frames += [(wanted, frame) for _, wanted, _, frame in asked]
        most = max(most, *Counter(job for job, *_ in asked).values(), 0)
        while recorder.messages:
            carry_out(ledger, recorder.take(recorder.messages[0][0]), stays=True)
        if (0, place) in ledger.ready:
            ledger.release([ledger.take((0, place))])
            place += 1
        ledger.pump()
    return sorted(frames), most


def test_patches_that_are_joined_have_the_slots_that_they_would_have_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined, most = ask_for_all()
    assert most > 1
    monkeypatch.setattr(Jobs, "join", lambda self, first, end, most: first)
    assert ask_for_all() == (joined, 1)


def leads(*, stays: bool) -> list[list[int]]:
    """Return, for each epoch, how far ahead patches are asked for while others are due."""
    ledger, recorder = start([6] * 20, 80)
    found: list[list[int]] = [[] for _ in range(5)]
    for due in range(360):
        epoch, place = divmod(due, 120)
        while (epoch, place) not in ledger.ready:
            asked = obey(ledger, recorder, recorder.messages[0][0], stays)
            for asked_epoch, asked_place in asked:
                found[asked_epoch].append(120 * asked_epoch + asked_place - due)
        ledger.release([ledger.take((epoch, place))])
        ledger.pump()
    return found[:3]


def test_patches_of_volumes_that_stay_are_asked_for_as_they_are_due(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voxloom.loading._lacking._PROMISED_BYTES", LAYOUT.nbytes)
    stay, go = leads(stays=True), leads(stays=False)
    assert [sorted(map(len, found)) for found in (stay, go)] == [[120] * 3] * 2
    assert max(max(found) for found in stay) < 16  # eight for each worker
    assert min(max(found) for found in go) > 20


def test_what_is_not_open_yet_has_a_part_of_its_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    """A volume may take long to decode: what it will need lies idle meanwhile."""
    monkeypatch.setattr("voxloom.loading._lacking._PROMISED_BYTES", 2 * LAYOUT.nbytes)
    ledger, recorder = start([8] * 6, 32)
    slow = recorder.take(0)
    carry_out(ledger, recorder.take(1))
    ledger.pump()
    part, whole = recorder.take(0), recorder.take(1)
    assert (len(part.patches), len(whole.patches)) == (3, 8)
    carry_out(ledger, whole)
    ledger.pump()
    assert (ledger.held, len(ledger.ready)) == (8 + 3 + 3, 8)  # three of the next
    carry_out(ledger, slow)
    ledger.pump()
    assert len(recorder.take(0).patches) == 5


def test_without_memory_for_the_patch_that_is_due_whoever_waits_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(size: int) -> None:
        if size < 12 * LAYOUT.nbytes:  # there was enough when the queue began
            raise MemoryError(f"{size} bytes are too many")

    monkeypatch.setattr(_slots, "check_room", refuse)
    ledger, recorder = start([3] * 4, 12)
    for worker in recorder.busy:
        carry_out(ledger, recorder.take(worker))
    ledger.pump()
    with pytest.raises(QueueMemoryError, match=r"no memory for another patch of .* beside 0 that"):
        ledger.pump(eager=True)
