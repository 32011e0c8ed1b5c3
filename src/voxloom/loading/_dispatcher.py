"""Keeps the workers busy with what the plan needs next, and hands out what is due."""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Final, TypeVar

from voxloom._errors import QueueError, VoxloomError
from voxloom.loading._failures import (
    interrupted,
    listener_lost,
    queue_closed,
    to_raise,
    worker_broken,
)
from voxloom.loading._faults import FaultOptions
from voxloom.loading._ledger import Ledger
from voxloom.loading._lending import Lender
from voxloom.loading._messages import Began, Broken, Event, Executor, Failed, Lost, Made, Ready
from voxloom.loading._meter import Meter
from voxloom.loading._plan import EpochPlan
from voxloom.loading._recovery import Recovery
from voxloom.loading._running import Patch
from voxloom.loading._slots import SlotMemory

_logger = logging.getLogger("voxloom")
_GRACE_S: Final = 1.0
_END: Final = (sys.maxsize, sys.maxsize)  # after every place of every epoch
Found = TypeVar("Found")


class Dispatcher:
    """Looks ahead in the plan, keeps the workers busy, and gives out patches by plan index.

    Parameters
    ----------
    plan : callable
        ``plan(epoch)`` returns the plan of an epoch.
    executor : Executor
        Who works.
    memory : SlotMemory
        Where finished patches lie; its number of slots is the bound.
    is_background : bool
        Whether a thread listens to the workers, or only whoever asks for a patch.
    describe : callable
        Gives the name of a subject for messages, by its index.
    faults : FaultOptions
        What is done about faults.
    meter : Meter, optional
        Counts what the workers report.
    alone : bool
        Whether each patch is a job of its own, which any worker may do.
    """

    def __init__(
        self,
        plan: Callable[[int], EpochPlan],
        executor: Executor,
        memory: SlotMemory,
        *,
        is_background: bool,
        describe: Callable[[int], str] = "subject {}".format,
        faults: FaultOptions | None = None,
        meter: Meter | None = None,
        alone: bool = False,
    ) -> None:
        self.meter = Meter() if meter is None else meter
        self._describe, self._process = describe, os.getpid()
        self._executor, self._memory = executor, memory
        self.lender = Lender(memory)
        self._faults = FaultOptions() if faults is None else faults
        self._lock = threading.Condition(threading.RLock())
        self._ledger = Ledger(plan, executor, memory, alone=alone)
        self._recovery = Recovery(
            self._ledger, executor, describe, self._faults.policy, self._faults.substitutes
        )
        self._failure: VoxloomError | None = None
        self._heard_s = time.monotonic()
        self._closed = self._is_ending = False
        self._thread: threading.Thread | None = None
        if is_background:
            self._thread = threading.Thread(
                target=self._listen, name="voxloom-dispatcher", daemon=True
            )
            self._thread.start()
            atexit.register(self.close)  # before multiprocessing ends the workers, as lost ones

    @property
    def memory(self) -> SlotMemory:
        """Where finished patches lie."""
        return self._memory

    @property
    def held(self) -> int:
        """How many slots hold a finished patch or are promised to one."""
        return self._ledger.held

    @property
    def ready(self) -> int:
        """How many patches are finished and not yet taken."""
        return len(self._ledger.ready)

    def keep_order(self, keeps_order: bool) -> None:
        """Say whether patches may lie as their volumes do, or workers turn them into C order."""
        self.check_process()
        with self._lock:
            self._ledger.keeps_order = keeps_order

    def seek(self, epoch: int, place: int) -> None:
        """Go on from a place of the plan; what was made for later places is kept.

        After a failure everything is made again from there, and so is what failed.
        """
        self.check_process()
        with self._lock:
            self._check_usable()
            errors = self._recovery.errors
            self._change(lambda: self._ledger.seek(epoch, place, afresh=bool(errors)))
            errors.clear()

    def take(self, epoch: int, place: int, *, make_room: Callable[[], None] | None = None) -> Patch:
        """Wait for the patch at a place of the plan and return it.

        Where there is no slot for it, `make_room` is called, which may `release` some.
        """
        patch = self.take_unless(threading.Event(), epoch, place, make_room=make_room)
        assert patch is not None
        return patch

    def take_unless(
        self,
        stopped: threading.Event,
        epoch: int,
        place: int,
        *,
        make_room: Callable[[], None] | None = None,
    ) -> Patch | None:
        """Wait for the patch at a place of the plan and return it, or None once `stopped`.

        Raises
        ------
        PatchError
            If a patch could not be made, or more subjects were replaced than may be.
        """
        self.check_process()
        key, since = (epoch, place), time.monotonic()
        with self._lock:
            while key not in self._ledger.ready:
                if stopped.is_set():
                    return None
                self._ledger.await_place(*key)
                if key in self._recovery.errors:
                    raise to_raise(self._recovery.errors[key])
                self._check_usable()
                self._change(lambda: self._ledger.pump(eager=True))
                if make_room is not None and self._ledger.lacks_slot(key):
                    make_room()
                self._wait(since)
            self._count_replaced(key)
            nbytes = self._ledger.ready[key].layout.nbytes
            self.meter.note_take(epoch, nbytes, len(self._ledger.ready))
            patch = self._ledger.take(key)
        if (onlooker := self.meter.onlooker) is not None:
            onlooker.see_patch(patch)
        return patch

    def inspect(self, look: Callable[[Ledger, Executor], Found]) -> Found | None:
        """Return what `look` finds in the books while nothing changes them; None once closed."""
        with self._lock:
            return None if self._closed else look(self._ledger, self._executor)

    def troubles(self) -> list[str]:
        """Return what went wrong and still counts: errors, then who took whose place."""
        with self._lock:
            errors = list(dict.fromkeys(str(error) for error in self._recovery.errors.values()))
            if self._failure is not None:
                errors.append(str(self._failure))
            replaced = self._faults.replacements.state(_END)
        return errors + [
            f"epoch {epoch}: {self._describe(instead)} in place of {self._describe(subject)}"
            for epoch, subject, instead in replaced
        ]

    def notify(self) -> None:
        """Let whoever waits for a patch look again whether to go on."""
        with self._lock:
            self._lock.notify_all()

    def release(self, patches: list[Patch]) -> None:
        """Give back the slots of patches whose voxels are no longer needed."""
        if self.is_forked:  # it has none
            return
        with self._lock:
            self._change(lambda: self._ledger.release(patches))
            self._lock.notify_all()  # whoever waits takes fewer slots than are given out at once

    def close(self) -> None:
        """End the workers and forget everything. It may be called at any time, and again.

        Where Ctrl-C comes meanwhile, the rest is done first; what a second one leaves is done
        when it is called again.
        """
        if self.is_forked:  # the workers are not its own
            return
        with self._lock:
            if self._is_ending:
                return
            self._is_ending = self._closed = True
            self._lock.notify_all()
        try:
            self._end()
        except BaseException:
            self._is_ending = False
            raise
        atexit.unregister(self.close)

    def _end(self) -> None:
        listener = None if self._thread is threading.current_thread() else self._thread
        with ExitStack() as rest:  # is done from the last to the first, whatever comes up
            rest.callback(self._memory.close)
            rest.callback(self._ledger.running.clear)
            rest.callback(self._ledger.ready.clear)
            if listener is not None:
                rest.callback(listener.join, _GRACE_S)
            rest.callback(self._executor.close)
            if listener is not None:
                self._executor.wake()
                listener.join(_GRACE_S)  # longer only if a worker stopped in the middle of a report

    @property
    def is_forked(self) -> bool:
        """Whether this is a forked copy, whose workers are another process's.

        It is asked before the lock, which may have been held at the fork.
        """
        return os.getpid() != self._process

    def check_process(self) -> None:
        """Raise in a forked copy."""
        if self.is_forked:
            raise QueueError(
                "this process was forked from the one that made the queue, whose workers serve "
                "only that one; make a queue here, or ask for patches there"
            )

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise to_raise(self._failure)
        if self._closed:
            raise queue_closed()

    def _change(self, change: Callable[[], None]) -> None:
        """Change the books and give out work; what stops half-way leaves no queue to go on with."""
        try:
            change()
            if self._failure is None and not self._closed:
                self._ledger.pump()
        except BaseException as error:
            self._failure = interrupted(error)
            self._lock.notify_all()
            raise

    def _count_replaced(self, key: tuple[int, int]) -> None:
        links = self._ledger.ready[key].links
        for link in self._faults.replacements.accept(key, links) if links else ():
            _logger.warning(
                "%s; in its place come patches of %s", link.reason, self._describe(link.substitute)
            )

    def _wait(self, since: float) -> None:
        """Wait until something was heard of a worker, or all have been silent for too long."""
        if self._thread is None:
            events = self._executor.receive()
            self._change(lambda: self._handle(events))
            return
        timeout = self._recovery.patience_s(self._faults.timeout_s)
        left = max(since, self._heard_s) + timeout - time.monotonic()
        if left > 0:
            self._lock.wait(left)
            return
        try:
            self._recovery.end_hung_workers(timeout)
        except VoxloomError as error:
            self._failure = error
        self._heard_s = time.monotonic()

    def _listen(self) -> None:
        while not self._closed and self._failure is None:
            try:
                events = self._executor.receive()
                with self._lock:
                    if not self._closed:
                        self._handle(events)
            except BaseException as error:  # whoever waits for a patch must hear of it
                self._failure = listener_lost(error)
            with self._lock:
                self._lock.notify_all()

    def _handle(self, events: list[tuple[int, Event]]) -> None:
        try:
            for worker, event in events:
                self._handle_one(worker, event)
            self._ledger.pump()
        except VoxloomError as error:
            self._failure = error

    def _handle_one(self, worker: int, event: Event) -> None:
        self._heard_s = time.monotonic()
        if isinstance(event, Lost):
            self._recovery.on_lost(worker, event)
        elif isinstance(event, Ready):
            self._recovery.on_ready(worker)
        elif isinstance(event, Broken):
            raise worker_broken(event)
        elif isinstance(event, Made):
            self._keep(worker, event)
        else:
            self._handle_report(event)

    def _handle_report(self, event: Began | Failed) -> None:
        running = self._ledger.running.get(event.job)
        if running is None:
            return
        if isinstance(event, Failed):
            self._recovery.on_failed(running, event)
            return
        self._ledger.begin(running, event)
        self.meter.note_work(running.worker, running.job, event)

    def _keep(self, worker: int, event: Made) -> None:
        job = None
        for done in event.patches:
            running = self._ledger.running.get(done.job)
            if running is not None:
                job = running.job
                self._ledger.keep(running, done)
        if job is not None:
            begin_s, end_s = event.span
            self._ledger.note_work(len(event.patches), end_s - begin_s)
            self.meter.note_work(worker, job, event)
