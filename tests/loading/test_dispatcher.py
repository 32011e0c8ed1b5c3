"""Whoever waits for a patch goes on as soon as anything makes that possible."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from test_ledger import LAYOUT, OUTLINE, SLOTS

from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._messages import Began, Cut, Event, Finished, Made, Open
from voxloom.loading._plan import EpochPlan
from voxloom.loading._slots import SlotMemory


class PromptWorkers:
    """Workers who have done what they are told before they are asked."""

    num_workers = 2

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[list[tuple[int, Event]]] = queue.SimpleQueue()

    def send(self, worker: int, *commands: Any) -> None:
        for command in commands:
            if isinstance(command, Open):
                began = Began(command.job.number, OUTLINE, LAYOUT, {})
                self._events.put([(worker, began)])
            elif isinstance(command, Cut):
                done = (Finished(job, place, n, (0, 0, 0)) for job, place, n, _ in command.patches)
                self._events.put([(worker, Made(tuple(done), {}))])

    def receive(self) -> list[tuple[int, Event]]:
        return self._events.get()

    def wake(self) -> None:
        self._events.put([])

    def close(self) -> None:
        pass


def plan(epoch: int) -> EpochPlan:
    count = np.arange(400)
    return EpochPlan(epoch, count // 8, count % 8, count // 8)


@pytest.fixture
def dispatcher() -> Iterator[Dispatcher]:
    workers: Any = PromptWorkers()
    memory = SlotMemory(SLOTS, shared=False)
    made = Dispatcher(plan, workers, memory, is_background=True)
    made.seek(0, 0)
    yield made
    made.close()


@pytest.mark.timeout(20)
def test_one_slot_that_comes_free_is_enough_for_whoever_waits(dispatcher: Dispatcher) -> None:
    kept = [dispatcher.take(0, place) for place in range(SLOTS)]
    taken: list[int] = []
    waiter = threading.Thread(
        target=lambda: taken.append(dispatcher.take(0, SLOTS).place), daemon=True
    )
    waiter.start()
    waiter.join(0.2)
    assert waiter.is_alive()  # there is no slot
    dispatcher.release(kept[:1])
    waiter.join(10)
    assert taken == [SLOTS]


@pytest.mark.timeout(20)
def test_whoever_waits_hears_of_a_failure_in_another_thread(
    dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [dispatcher.take(0, place) for place in range(SLOTS)]
    raised: list[BaseException] = []

    def wait() -> None:
        try:
            dispatcher.take(0, SLOTS)
        except BaseException as error:
            raised.append(error)

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    waiter.join(0.2)

    def interrupt(patches: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(dispatcher._ledger, "release", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.release(kept)
    waiter.join(10)
    assert len(raised) == 1
    assert "interrupted" in str(raised[0])
