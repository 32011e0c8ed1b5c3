"""Keeps the workers busy with what the plan needs next, and hands out what is due."""

from __future__ import annotations

import atexit
import os
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np

from voxloom._errors import QueueError, VoxloomError
from voxloom.geometry import Index3, Shape3
from voxloom.io import Array
from voxloom.loading._failures import listener_lost, patch_error, worker_lost, workers_end
from voxloom.loading._messages import (
    Began,
    Cut,
    Drop,
    Event,
    Executor,
    Failed,
    Finished,
    Lost,
    Made,
    Open,
)
from voxloom.loading._plan import EpochPlan, renumber
from voxloom.loading._slots import Bytes, Layout, SlotMemory
from voxloom.loading._work import Job
from voxloom.subjects import Subject

# A worker finishes one job while the next already waits in its pipe.
_JOBS_A_WORKER = 2
_TRIES = 2
# Workers that end before they report anything end for a reason that another job will not cure.
_SILENT_ENDS = 2 * _TRIES


@dataclass(slots=True, eq=False)
class _Running:
    """A job that a worker has: how much of it has a slot, how much is finished."""

    job: Job
    worker: int
    granted: int = 0
    waiting: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    tries: int = 1
    unwanted: bool = False
    outline: Subject | None = None
    layout: Layout | None = None

    @property
    def is_granted(self) -> bool:
        return self.granted == len(self.job.places)


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
    """A finished patch that is due. Its voxels are valid until it is released.

    Its affines are those of `outline` moved to voxel `origin`: the first voxel of the patch, or
    zero where a patch transform has moved them. `size` is the size of what was cut.
    """

    subject: int
    epoch: int
    place: int
    number: int
    slot: int
    index_ini: Index3
    outline: Subject
    layout: Layout
    voxels: dict[str, Array]
    size: Shape3
    origin: Index3


class Dispatcher:
    """Looks ahead in the plan, gives jobs and slots to workers, keeps finished patches.

    Jobs get slots strictly in the order in which their first patches are due, so the patch
    that is due next always has one: the plan's peak is within the number of slots.

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
    """

    def __init__(
        self,
        plan: Callable[[int], EpochPlan],
        executor: Executor,
        memory: SlotMemory,
        *,
        is_background: bool,
        describe: Callable[[int], str] = "subject {}".format,
    ) -> None:
        self._describe, self._process = describe, os.getpid()
        self._plan, self._executor, self._memory = plan, executor, memory
        self._lock = threading.Condition(threading.RLock())
        self._numbers = count()
        self._free = list(range(memory.count))[::-1]
        self._running: dict[int, _Running] = {}
        self._pending: deque[_Running] = deque()
        self._ready: dict[tuple[int, int], Patch] = {}
        self._jobs: Iterator[Job] = iter(())
        self._next: Job | None = None
        self._from = (0, 0)
        self._failed: dict[tuple[int, int], VoxloomError] = {}
        self._failure: VoxloomError | None = None
        self._silent_ends: Counter[int] = Counter()
        self._closed = False
        self.seconds: dict[str, float] = {}
        self._thread: threading.Thread | None = None
        if is_background:
            self._thread = threading.Thread(
                target=self._listen, name="voxloom-dispatcher", daemon=True
            )
            self._thread.start()
            atexit.register(self.close)  # before multiprocessing ends the workers, as lost ones

    @property
    def held(self) -> int:
        """How many slots hold a finished patch or are promised to one."""
        return self._memory.count - len(self._free)

    @property
    def ready(self) -> int:
        """How many patches are finished and not yet taken."""
        return len(self._ready)

    def seek(self, epoch: int, place: int) -> None:
        """Go on from a place of the plan; what was made for later places is kept.

        After a failure everything is made again from there, and so is what failed.
        """
        with self._lock:
            self._check_usable()
            goes_back = (epoch, place) < self._from or self._next is None or bool(self._failed)
            self._from = (epoch, place)
            self._failed.clear()
            for running in list(self._running.values()):
                last = (running.job.epoch, running.job.places[-1][0])
                if goes_back or last < self._from:
                    self._abandon(running)
            for key in [key for key in self._ready if goes_back or key < self._from]:
                self._free.append(self._ready.pop(key).slot)
            if goes_back or self._next is None or self._next.epoch < epoch:
                self._jobs = _jobs_from(self._plan, epoch, place, self._numbers)
                self._next = next(self._jobs)
            while (self._next.epoch, self._next.places[-1][0]) < self._from:
                self._next = next(self._jobs)
            self._pump()

    def take(self, epoch: int, place: int) -> Patch:
        """Wait for the patch at a place of the plan and return it."""
        patch = self.take_unless(threading.Event(), epoch, place)
        assert patch is not None
        return patch

    def take_unless(self, stopped: threading.Event, epoch: int, place: int) -> Patch | None:
        """Wait for the patch at a place of the plan and return it, or None once `stopped`.

        Raises
        ------
        PatchError
            If a patch could not be made.
        """
        key = (epoch, place)
        with self._lock:
            self._from = key
            while key not in self._ready:
                if stopped.is_set():
                    return None
                if key in self._failed:
                    raise self._failed[key]
                self._check_usable()
                self._wait()
            self._from = (epoch, place + 1)
            return self._ready.pop(key)

    def notify(self) -> None:
        """Let whoever waits for a patch look again whether to go on."""
        with self._lock:
            self._lock.notify_all()

    def release(self, patches: list[Patch]) -> None:
        """Give back the slots of patches whose voxels are no longer needed."""
        with self._lock:
            self._free.extend(patch.slot for patch in patches)
            self._pump()

    def close(self) -> None:
        """End the workers and forget everything."""
        if os.getpid() != self._process:  # a forked copy: the workers are not its own
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lock.notify_all()
        atexit.unregister(self.close)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._executor.wake()
            self._thread.join()
        self._executor.close()
        self._ready.clear()
        self._running.clear()
        self._memory.close()

    def _check_usable(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise QueueError("the queue is closed; make a new one")

    def _wait(self) -> None:
        if self._thread is None:
            self._handle(self._executor.receive())
        else:
            self._lock.wait()

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
            self._pump()
        except VoxloomError as error:
            self._failure = error

    def _handle_one(self, worker: int, event: Event) -> None:
        if isinstance(event, Lost):
            self._replace_worker(worker, event)
            return
        self._silent_ends[worker] = 0
        running = self._running.get(event.job)
        if running is None:
            return
        if isinstance(event, Began):
            running.outline, running.layout = event.outline, event.layout
            if not self._memory.slot_bytes:
                self._memory.reserve(event.layout.nbytes)
        elif isinstance(event, Made):
            self._keep(running, event)
        else:
            self._fail(running, event)
        if not isinstance(event, Failed):
            for stage, seconds in event.seconds.items():
                self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds

    def _keep(self, running: _Running, event: Made) -> None:
        for done in event.patches:
            key = (running.job.epoch, done.place)
            del running.waiting[done.place]
            if running.unwanted or key < self._from:
                self._free.append(done.slot)
                continue
            memory = self._memory.slot(done.slot)
            if done.voxels is not None:
                memory = np.frombuffer(done.voxels, dtype=np.uint8)
            self._ready[key] = _patch(running, key, done, memory)
        if not running.waiting and (running.is_granted or running.unwanted):
            del self._running[running.job.number]

    def _fail(self, running: _Running, event: Failed) -> None:
        self._give_back(running)
        if not running.unwanted:
            self._mark(running.job, patch_error(self._describe, running.job, event))

    def _replace_worker(self, worker: int, event: Lost) -> None:
        """Start another worker and run again what the lost one had, but not for ever."""
        lost = [running for running in self._running.values() if running.worker == worker]
        if lost:  # commands are obeyed in order: it was at work on the first
            lost[0].tries += 1
        for running in lost:
            if running.unwanted or running.tries > _TRIES:
                self._give_back(running)
            if running.tries > _TRIES and not running.unwanted:
                self._mark(running.job, worker_lost(self._describe, running.job, event))
        self._silent_ends[worker] += 1
        if self._silent_ends[worker] > _SILENT_ENDS:
            raise workers_end(event)
        self._executor.revive(worker)
        for running in lost:
            if running.job.number in self._running:
                self._run_again(running)

    def _mark(self, job: Job, error: VoxloomError) -> None:
        """Let the error wait for its turn in the plan: when it comes up depends on no clock."""
        self._failed.update(((job.epoch, place), error) for place, _ in job.places)

    def _run_again(self, running: _Running) -> None:
        places = running.job.places
        left = tuple(
            p for n, p in enumerate(places) if n >= running.granted or p[0] in running.waiting
        )
        self._executor.send(running.worker, Open(replace(running.job, places=left)))
        if running.waiting:
            self._send_cut(running, list(running.waiting.values()))

    def _abandon(self, running: _Running) -> None:
        if running.unwanted:
            return
        running.unwanted = True
        self._executor.send(running.worker, Drop(running.job.number))
        if running in self._pending:
            self._pending.remove(running)
        if not running.waiting:
            del self._running[running.job.number]

    def _give_back(self, running: _Running) -> None:
        """Forget a job that no worker will report on again."""
        self._free.extend(slot for _, _, slot in running.waiting.values())
        self._running.pop(running.job.number, None)
        if running in self._pending:
            self._pending.remove(running)

    def _pump(self) -> None:
        while self._failure is None and (self._assign() or self._grant()):
            pass

    def _assign(self) -> bool:
        """Give the next job to a worker that has room. Tell whether one had."""
        job = self._next
        worker = None if job is None else self._worker_for(job)
        if job is None or worker is None:
            return False
        running = _Running(job, worker)
        self._running[job.number] = running
        self._pending.append(running)
        self._executor.send(worker, Open(job))
        self._next = next(self._jobs)
        return True

    def _worker_for(self, job: Job) -> int | None:
        load = [0] * self._executor.num_workers
        holder = None
        for running in self._running.values():
            full = running.is_granted or running.unwanted
            load[running.worker] += 1 if full else _JOBS_A_WORKER
            if (running.job.subject, running.job.epoch) == (job.subject, job.epoch):
                holder = running.worker
        worker = load.index(min(load)) if holder is None else holder
        return worker if load[worker] < _JOBS_A_WORKER else None

    def _grant(self) -> bool:
        """Give free slots to the first job that lacks some. Tell whether any were given."""
        if not self._free or not self._pending or not self._memory.slot_bytes:
            return False
        running = self._pending[0]
        places = running.job.places[running.granted :][: len(self._free)]
        grants = [(place, patch, self._free.pop()) for place, patch in places]
        running.granted += len(grants)
        running.waiting.update((grant[0], grant) for grant in grants)
        if running.is_granted:
            self._pending.popleft()
        self._send_cut(running, grants)
        return True

    def _send_cut(self, running: _Running, grants: list[tuple[int, int, int]]) -> None:
        command = Cut(running.job.number, tuple(grants), self._memory.slot_bytes)
        self._executor.send(running.worker, command)


def _patch(running: _Running, key: tuple[int, int], done: Finished, memory: Bytes) -> Patch:
    assert running.outline is not None
    assert running.layout is not None
    outline, layout, origin = running.outline, running.layout, done.index_ini
    width, height, depth = layout.fields[0].shape[1:]
    size = width, height, depth
    if done.changed is not None:
        outline, layout = done.changed.unpack(), done.changed.layout
        size, origin = done.changed.size, (0, 0, 0)
    return Patch(
        running.job.subject, *key, done.patch, done.slot, done.index_ini,
        outline, layout, layout.views(memory), size, origin,
    )  # fmt: skip


def _jobs_from(
    plan: Callable[[int], EpochPlan], epoch: int, place: int, numbers: Iterator[int]
) -> Iterator[Job]:
    """Yield the jobs of all epochs from a place on, soonest due first."""
    while True:
        current = plan(epoch)
        left = renumber(current.residencies[place:])
        order = np.argsort(left, kind="stable")
        for places in np.split(order + place, np.flatnonzero(np.diff(left[order])) + 1):
            if len(places):
                patches = current.patches[places].tolist()
                subject = int(current.subjects[places[0]])
                pairs = tuple(zip(places.tolist(), patches, strict=True))
                yield Job(next(numbers), subject, epoch, pairs)
        epoch, place = epoch + 1, 0
