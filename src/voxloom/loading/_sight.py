"""What a queue is doing at this moment, as a value: for pages that show it while it runs."""

from __future__ import annotations

from dataclasses import dataclass

from voxloom.loading._ledger import Ledger
from voxloom.loading._marks import TRAINER, Mark
from voxloom.loading._messages import Executor
from voxloom.loading._meter import Moment, Onlooker
from voxloom.loading._observed import ObservedQueue


@dataclass(frozen=True, slots=True)
class SlotSight:
    """A slot that is held.

    Attributes
    ----------
    slot, subject, epoch, place : int
        Which slot; whose patch it holds or is promised to, and its place in the plan.
    is_ready : bool
        Whether the patch is finished.
    """

    slot: int
    subject: int
    epoch: int
    place: int
    is_ready: bool


@dataclass(frozen=True, slots=True)
class WorkerSight:
    """What a worker does: at which stage it is, for which subject if for any."""

    stage: str
    subject: int | None


@dataclass(frozen=True, slots=True)
class Sight:
    """What a queue is doing.

    Attributes
    ----------
    epoch, delivered, length : int
        Which epoch, how many of its patches were handed out, and how many it has; 0 where a
        subject_sampler says that and was not read yet.
    is_open : bool
        Whether a loop is reading it.
    subjects : int
        How many subjects the data set has.
    slot_count : int
        How many slots there are.
    held : int
        How many of them are taken, in whichever way.
    slots : tuple of SlotSight
        Those that hold a finished patch that nobody took, or are promised to one.
    leaving : tuple of int
        Slots whose patches are taken for the batch that is put together.
    workers : tuple of WorkerSight
        One each.
    troubles : tuple of str
        Errors, and which subjects were replaced.
    """

    epoch: int
    delivered: int
    length: int
    is_open: bool
    subjects: int
    slot_count: int
    held: int = 0
    slots: tuple[SlotSight, ...] = ()
    leaving: tuple[int, ...] = ()
    workers: tuple[WorkerSight, ...] = ()
    troubles: tuple[str, ...] = ()


def see(queue: ObservedQueue) -> Sight:
    """Return what a queue is doing. It is only looked at; it goes on a few microseconds later.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> see(queue).slot_count, see(queue).slots
    (8, ())
    """
    dispatcher = queue._dispatcher
    found = None if dispatcher is None else dispatcher.inspect(_look)
    slots, workers, leaving = ([], [], []) if found is None else found
    # Of the thread of a page: it must neither read a sampler of the user nor notice new ranks.
    length = queue._run.epochs.known_length(queue._epoch)
    count = queue.max_length if dispatcher is None else dispatcher.memory.count
    return Sight(
        epoch=queue._epoch,
        delivered=queue._delivered,
        length=length,
        is_open=queue._is_open,
        subjects=len(queue._subjects),
        slot_count=count,
        held=len(slots) + len(leaving),
        slots=tuple(slots),
        leaving=tuple(leaving),
        workers=tuple(workers),
        troubles=() if dispatcher is None else tuple(dispatcher.troubles()),
    )


def set_onlooker(queue: ObservedQueue, onlooker: Onlooker | None) -> None:
    """Let an onlooker see patches and batches leave a queue, or none."""
    queue._meter.onlooker = onlooker


@dataclass(frozen=True, slots=True)
class Course:
    """What happened in a queue, in seconds from the first that is known.

    Attributes
    ----------
    fills : tuple of (float, int)
        When a patch was taken, and how many were finished then.
    moments : tuple of Moment
        Batches that were handed out.
    work, waits : tuple of Mark
        What workers did, and the trainer's waits.
    span_s : float
        Until the last of it.
    """

    fills: tuple[tuple[float, int], ...]
    moments: tuple[Moment, ...]
    work: tuple[Mark, ...]
    waits: tuple[Mark, ...]
    span_s: float


def recall(queue: ObservedQueue) -> Course:
    """Return what happened in a queue: the last 5,000 reports, waits, patches and batches.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> _ = list(queue.batches(4))
    >>> course = recall(queue)
    >>> len(course.fills), [moment.patches for moment in course.moments]
    (8, [4, 4])
    """
    meter = queue._meter
    marks, fills, moments = meter.marks, meter.fills, meter.moments
    begin_s = min(
        [mark.begin_s for mark in marks] + [time_s for time_s, _ in fills[:1]], default=0.0
    )
    marks_since = [
        mark._replace(begin_s=mark.begin_s - begin_s, end_s=mark.end_s - begin_s) for mark in marks
    ]
    moments_since = tuple(m._replace(time_s=m.time_s - begin_s) for m in moments)
    ends = [mark.end_s for mark in marks_since] + [m.time_s for m in moments_since[-1:]]
    return Course(
        fills=tuple((time_s - begin_s, ready) for time_s, ready in fills),
        moments=moments_since,
        work=tuple(mark for mark in marks_since if mark.worker != TRAINER),
        waits=tuple(mark for mark in marks_since if mark.worker == TRAINER),
        span_s=max(ends, default=0.0),
    )


Found = tuple[list[SlotSight], list[WorkerSight], list[int]]


def _look(ledger: Ledger, executor: Executor) -> Found:
    slots = [
        SlotSight(patch.slot, patch.subject, patch.epoch, patch.place, is_ready=True)
        for patch in ledger.ready.values()
    ]
    for running in ledger.running.values():
        job = running.job
        slots += [
            SlotSight(slot, job.subject, job.epoch, place, is_ready=False)
            for place, _, slot in running.waiting.values()
        ]
    workers = []
    for number in range(executor.num_workers):
        position = executor.position(number)
        of = ledger.running.get(position.job)
        workers.append(WorkerSight(position.stage, None if of is None else of.job.subject))
    known = {slot.slot for slot in slots} | set(ledger.free)
    leaving = [slot for slot in range(ledger.slot_count) if slot not in known]
    return slots, workers, leaving
