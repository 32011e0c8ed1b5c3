"""Work in threads of the trainer's own process: nothing is sent, and nothing is copied twice.

On a Python with a global lock they take turns with the trainer wherever a transform computes in
Python; reading, decoding and copying let the lock go. On a free-threaded one they do not wait.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from queue import Empty, SimpleQueue
from typing import Final, final

from voxloom._errors import QueueError
from voxloom.loading._bench import Bench
from voxloom.loading._board import Board, Position
from voxloom.loading._memory_cache import MemoryCache
from voxloom.loading._messages import Command, Event, Ready, failure, jobs_of
from voxloom.loading._seeding import seeds_globals, takes_rng
from voxloom.loading._slots import SlotMemory
from voxloom.loading._work import WorkSpec
from voxloom.subjects import SubjectsDataset

_GRACE_S: Final = 1.0


@final
class ThreadExecutor:
    """Workers in threads, which end with the queue or with the process.

    The global generators of `random`, NumPy and torch belong to the process, and so to the
    trainer: what draws from them cannot be made repeatable in a thread, and is refused.

    Parameters
    ----------
    spec : WorkSpec
        Used by all threads at once.
    memory : SlotMemory
        Memory for patches.
    num_workers : int
        Number of threads.
    cache : MemoryCache
        Where decoded volumes stay.

    Raises
    ------
    QueueError
        If a transform does not take its generator as an argument, or seeds the global ones.
    """

    def __init__(
        self, spec: WorkSpec, memory: SlotMemory, num_workers: int, cache: MemoryCache
    ) -> None:
        _check_draws(spec)
        self._cache = cache
        self.num_workers = num_workers
        self._closing = False
        self._events: SimpleQueue[tuple[int, Event] | None] = SimpleQueue()
        self._commands: list[SimpleQueue[Command | None]] = []
        self._boards = [Board() for _ in range(num_workers)]
        self._threads: list[threading.Thread] = []
        for worker, board in enumerate(self._boards):
            board.attach()
            self._commands.append(SimpleQueue())
            bench = Bench(spec, memory, board, cache.twin())
            self._threads.append(
                threading.Thread(
                    target=self._work,
                    args=(worker, bench),
                    name=f"voxloom-worker-{worker}",
                    daemon=True,
                )
            )
            self._threads[worker].start()

    def send(self, worker: int, *commands: Command) -> None:
        """Give a worker something to do."""
        for command in commands:
            self._commands[worker].put(command)

    def receive(self) -> list[tuple[int, Event]]:
        """Wait until a worker reports or `wake` is called."""
        heard = [self._events.get()]
        try:
            while True:
                heard.append(self._events.get_nowait())
        except Empty:
            return [event for event in heard if event is not None]

    def revive(self, worker: int) -> None:
        """No thread is ever lost."""

    def position(self, worker: int) -> Position:
        """Return where a worker is."""
        self._boards[worker].note_memory()
        return self._boards[worker].read()

    def stacks(self, worker: int) -> str:
        """Return what a worker is doing, as text."""
        frame = sys._current_frames().get(self._threads[worker].ident or -1)
        return "(ended)" if frame is None else "".join(traceback.format_stack(frame))

    def kill(self, worker: int) -> bool:
        """No thread can be ended from outside."""
        return False

    def wake(self) -> None:
        """Make a waiting `receive` return."""
        self._events.put(None)

    def close(self) -> None:
        """End all workers; one that hangs is left behind, and ends with the process."""
        self._closing = True
        for commands in self._commands:
            commands.put(None)
        deadline = time.monotonic() + _GRACE_S
        for thread, board in zip(self._threads, self._boards, strict=True):
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
            if not thread.is_alive():
                board.close()
        self._cache.close()

    def _work(self, worker: int, bench: Bench) -> None:
        board = self._boards[worker]
        self._events.put((worker, Ready()))
        while True:
            board.rest()
            command = self._commands[worker].get()
            if command is None or self._closing:
                return
            try:
                for event in bench.obey(command):
                    self._events.put((worker, event))
            except BaseException as error:  # a thread that ends would end in silence
                stage = self.position(worker).stage
                for number in jobs_of(command):
                    self._events.put((worker, failure(number, stage, None, error)))


def _check_draws(spec: WorkSpec) -> None:
    dataset = spec.dataset
    if type(dataset).__getitem__ is not SubjectsDataset.__getitem__:
        raise QueueError(
            f"executor='threads' takes a SubjectsDataset, got {type(dataset).__name__}, which may "
            f"draw from the global generators; use executor='processes'"
        )
    for name, transform in (("transform", dataset.transform), ("patch", spec.patch_transform)):
        label = "patch_transform" if name == "patch" else "transform of the data set"
        if transform is not None and seeds_globals(transform):
            raise QueueError(
                f"with executor='threads' the {label} cannot be {transform!r}, which seeds the "
                "global generators that the trainer draws from, and keeps what it draws in "
                "itself; use executor='processes'"
            )
        if transform is not None and not takes_rng(transform):
            raise QueueError(
                f"with executor='threads' the {label} takes its generator as the argument rng, "
                f"since the global ones are the trainer's; {transform!r} does not. Give it that "
                f"argument, even if it draws nothing, or use executor='processes'"
            )
