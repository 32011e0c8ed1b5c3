"""Work in processes of their own. Commands and reports cross, and patches in slots: no volume.

Workers are never forked from the trainer: threads of libraries were seen to hang in forked
children. They do not import the user's main module either, unless something they are sent was
defined there; a script without ``if __name__ == "__main__"`` therefore runs as it is.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection, util
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Literal, final

from voxloom._errors import QueueError
from voxloom._interrupts import ignore_interrupts, interrupts_later, without_interrupts
from voxloom.loading._bench import REPORT_EVERY_S, Bench
from voxloom.loading._board import Board, Position
from voxloom.loading._memory import let_go_first
from voxloom.loading._memory_cache import MemoryCache
from voxloom.loading._messages import (
    Began,
    Broken,
    Command,
    Event,
    Finished,
    Lost,
    Made,
    Open,
    Ready,
    failure,
)
from voxloom.loading._slots import SlotMemory
from voxloom.loading._stages import KEPT
from voxloom.loading._work import WorkSpec

StartMethod = Literal["spawn", "forkserver"]

_GRACE_S: Final = 1.0
_LOOK_EVERY_S: Final = 0.25
_ONE_THREAD: Final = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "BLOSC_NTHREADS"
)  # fmt: skip
_STARTING = threading.Lock()


@final
class ProcessExecutor:
    """Workers in processes that live until the queue is closed or its process ends.

    Parameters
    ----------
    spec : WorkSpec
        Sent to each worker once.
    memory : SlotMemory
        Shared memory for patches.
    num_workers : int
        Number of processes.
    start_method : {'spawn', 'forkserver'}
        How they are started.
    cache : MemoryCache
        Where decoded volumes stay.

    Raises
    ------
    QueueError
        If the data set, its transform or the sampler cannot be sent to another process.
    """

    def __init__(
        self,
        spec: WorkSpec,
        memory: SlotMemory,
        num_workers: int,
        start_method: StartMethod,
        cache: MemoryCache,
    ) -> None:
        self.num_workers = num_workers
        self._payload = _pickle_spec(spec)
        self._memory, self._cache = memory, cache
        self._context: Any = multiprocessing.get_context(start_method)
        if start_method == "forkserver":  # it imports once what each worker needs
            needs_torch = spec.patch_transform is not None or b"torch" in self._payload
            self._context.set_forkserver_preload([__name__, *["torch"] * needs_torch])
        self._bell, self._ringer = multiprocessing.Pipe(duplex=False)
        self._processes: list[Any] = []
        self._pipes: list[Connection] = []
        self._boards: list[Board] = []
        try:
            for worker in range(num_workers):
                self._start(worker)
        except BaseException:  # Ctrl-C, or too few descriptors
            self.close()
            raise

    def send(self, worker: int, *commands: Command) -> None:
        """Give a worker something to do. A worker that is gone is reported by `receive`."""
        try:
            self._pipes[worker].send_bytes(pickle.dumps(commands, pickle.HIGHEST_PROTOCOL))
        except (BrokenPipeError, ConnectionResetError):
            return

    def receive(self) -> list[tuple[int, Event]]:
        """Wait until a worker reports, dies, or `wake` is called."""
        sentinels = {process.sentinel: n for n, process in enumerate(self._processes)}
        pipes: dict[Any, int] = {pipe: n for n, pipe in enumerate(self._pipes)}
        ready = connection.wait([self._bell, *pipes, *sentinels])
        if self._bell in ready:
            self._bell.recv_bytes()
        events: list[tuple[int, Event]] = []
        for item in ready:
            if item in pipes:
                events += self._read(pipes[item])
        for item in ready:
            worker = sentinels.get(item)
            if worker is not None:
                events += self._drain(worker)
                self._processes[worker].join()
                exit_code = self._processes[worker].exitcode
                events.append((worker, Lost(exit_code, self.position(worker))))
        return events

    def revive(self, worker: int) -> None:
        """Start a fresh worker in the place of a lost one."""
        lost = self._processes[worker]
        self._pipes[worker].close()
        self._boards[worker].close()
        self._start(worker)
        lost.close()

    def position(self, worker: int) -> Position:
        """Return where a worker is, or was when it died."""
        return self._boards[worker].read()

    def stacks(self, worker: int) -> str:
        """Return what each thread of a worker is doing, as text."""
        process: int = self._processes[worker].pid
        return self._boards[worker].ask_stacks(process)

    def kill(self, worker: int) -> bool:
        """End a worker that hangs: it holds nothing that others wait for."""
        self._processes[worker].kill()
        return True

    def wake(self) -> None:
        """Make a waiting `receive` return, if anybody could wait."""
        if not self._ringer.closed:
            self._ringer.send_bytes(b"!")

    def close(self) -> None:
        """End all workers: kindly, then by force, and by force at once where Ctrl-C comes."""
        for pipe in self._pipes:
            pipe.close()
        deadline = time.monotonic() + _GRACE_S
        try:
            for process in self._processes:
                connection.wait([process.sentinel], max(0.0, deadline - time.monotonic()))
        finally:
            self._end_by_force()

    def _end_by_force(self) -> None:
        """End all that are left: once more, where Ctrl-C came the last time."""
        for process in self._processes:
            process.kill()
        while self._processes:
            connection.wait([self._processes[-1].sentinel], _GRACE_S)
            with interrupts_later():  # who is joined or closed by half keeps its descriptors
                self._processes[-1].join()
                self._processes.pop().close()
        with interrupts_later():
            for board in self._boards:
                board.close()
            self._bell.close()
            self._ringer.close()
            self._cache.close()

    def _drain(self, worker: int) -> list[tuple[int, Event]]:
        """Return all that a worker reported before it ended."""
        events: list[tuple[int, Event]] = []
        while self._pipes[worker].poll():
            found = self._read(worker)
            if not found:
                break
            events += found
        return events

    def _read(self, worker: int) -> list[tuple[int, Event]]:
        """Return the next report of a worker; none, if it died, perhaps in the middle of one."""
        try:
            return [(worker, event) for event in self._pipes[worker].recv()]
        except (EOFError, OSError):
            return []  # its sentinel says so too

    def _start(self, worker: int) -> None:
        ours, theirs = multiprocessing.Pipe()
        self._pipes[worker : worker + 1] = [ours]
        board = Board()
        self._boards[worker : worker + 1] = [board]
        process = self._context.Process(
            target=run_worker,
            args=(theirs, self._payload, self._memory, board, self._cache),
            name=f"voxloom-worker-{worker}",
            daemon=True,
        )
        hidden = b"__main__" not in self._payload or not _main_can_be_imported()
        with _STARTING, _without_main(hidden), _one_thread(), without_interrupts():
            process.start()
            let_go_first(process.pid)
            self._processes[worker : worker + 1] = [process]
        theirs.close()


def run_worker(
    pipe: Connection, payload: bytes, memory: SlotMemory, board: Board, cache: MemoryCache
) -> None:
    """Obey commands until the pipe closes: the life of a worker process."""
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # a fork server may be older than we are
    ignore_interrupts()
    _let_trainer_keep_its_core()
    board.attach()
    watch = threading.Thread(target=_watch, args=(board,), name="voxloom-watch", daemon=True)
    watch.start()
    board.dump_stacks_on_signal()
    try:
        bench = _make_bench(pipe, payload, memory, board, cache)
        while True:
            board.rest()
            commands = pipe.recv()
            _obey(bench, commands, pipe, board)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        # The trainer is gone or done. Locks between processes that a library made, as numcodecs
        # does, would be reported as leaked.
        util._run_finalizers(0)  # type: ignore[attr-defined]
        os._exit(0)


def _let_trainer_keep_its_core() -> None:
    """Ask the system not to take a core from a running thread for this worker when it wakes.

    Else a trainer that hands out a batch, and so wakes a worker, may wait until that one rests.
    """
    if hasattr(os, "SCHED_BATCH") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # a sandbox may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _obey(bench: Bench, commands: tuple[Command, ...], pipe: Connection, board: Board) -> None:
    """Carry out commands; report what is made every few milliseconds, and all else at once.

    Before a subject is opened, which may take long, what was made is reported: it may be due.
    """
    kept: list[Event] = []
    since = time.perf_counter()
    for command in commands:
        if isinstance(command, Open) and not command.is_known:
            _ship(pipe, board, kept)
        for event in bench.obey(command):
            kept.append(event)
            if not isinstance(event, Made) or time.perf_counter() - since > REPORT_EVERY_S:
                _ship(pipe, board, kept)
                since = time.perf_counter()
    _ship(pipe, board, kept)


def _ship(pipe: Connection, board: Board, kept: list[Event]) -> None:
    """Report what is kept, if anything is, and keep it no longer."""
    if kept:
        board.enter("ship")
        now = time.perf_counter()
        for event in kept:
            if isinstance(event, Began | Made):
                event.seconds[KEPT] = now - event.span[1]
        _report(pipe, *kept)
        kept.clear()


def _make_bench(
    pipe: Connection, payload: bytes, memory: SlotMemory, board: Board, cache: MemoryCache
) -> Bench:
    try:
        bench = Bench(pickle.loads(payload), memory, board, cache)
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        _report(pipe, Broken(cause, "".join(traceback.format_exception(error))))
        os._exit(1)
    _report(pipe, Ready())
    return bench


def _report(pipe: Connection, *events: Event) -> None:
    """Send reports; or, if something in one cannot be sent, send that.

    The plain pickler is used: torch makes that of `multiprocessing` open a file for each tensor.
    """
    try:
        data = pickle.dumps(events, pickle.HIGHEST_PROTOCOL)
    except Exception:
        sent = tuple(part for event in events for part in _that_can_be_sent(event))
        data = pickle.dumps(sent, pickle.HIGHEST_PROTOCOL)
    pipe.send_bytes(data)


def _that_can_be_sent(event: Event) -> Iterator[Event]:
    if isinstance(event, Made):
        troubles = {done.place: _trouble_in(done) for done in event.patches}
        yield event._replace(patches=tuple(d for d in event.patches if not troubles[d.place]))
        for done in event.patches:
            if error := troubles[done.place]:
                yield failure(done.job, "ship", done.place, error)
    elif error := _trouble_in(event):
        assert isinstance(event, Began)
        yield failure(event.job, "ship", None, error)
    else:
        yield event


def _trouble_in(event: Event | Finished) -> Exception | None:
    """Return why something cannot be sent, or None."""
    try:
        pickle.dumps(event, pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        return error
    return None


def _watch(board: Board) -> None:
    """Note the memory of this process; end it with the trainer's, in the middle of any work."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    while not connection.wait([parent.sentinel], _LOOK_EVERY_S):
        board.note_memory()
    os._exit(1)


def _pickle_spec(spec: WorkSpec) -> bytes:
    try:
        return pickle.dumps(spec, protocol=pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise QueueError(
            f"the data set, its transform and the sampler are sent to worker processes, and "
            f"{_culprit(spec)} cannot be pickled: {error}. Define functions and classes in a "
            f"module, not inside a function and not as a lambda; or use num_workers=0"
        ) from error


def _culprit(spec: WorkSpec) -> str:
    """Return the name of what cannot be pickled."""
    parts = {
        "patch_transform": spec.patch_transform,
        "the transform of the data set": getattr(spec.dataset, "transform", None),
        "the sampler": spec.sampler,
    }
    for name, part in parts.items():
        try:
            pickle.dumps(part)
        except Exception:
            return name
    return "something in the data set, its subjects or their readers,"


def _main_can_be_imported() -> bool:
    """Tell whether there is a file behind the main module, not a notebook or standard input."""
    main = sys.modules["__main__"]
    return (
        getattr(main, "__spec__", None) is not None
        or Path(getattr(main, "__file__", None) or "a notebook has none").is_file()
    )


@contextmanager
def _without_main(hidden: bool) -> Iterator[None]:
    """Keep a starting process from importing the main module again, if `hidden`."""
    main = sys.modules["__main__"]
    saved: dict[str, Any] = {
        name: vars(main)[name] for name in ("__spec__", "__file__") if name in vars(main)
    }
    if hidden:
        main.__spec__ = None
        main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        vars(main).update(saved)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let a starting process use one thread for arithmetic: there is one worker a core."""
    saved = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in saved.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
