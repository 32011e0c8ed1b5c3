"""One worker's bench: the subjects it holds open, and what it does when it is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from voxloom.geometry import Box
from voxloom.loading._board import Board
from voxloom.loading._memory_cache import MemoryCache
from voxloom.loading._messages import (
    Began,
    Command,
    Cut,
    Drop,
    Event,
    Failed,
    Finished,
    Made,
    Open,
    failure,
    jobs_of,
)
from voxloom.loading._shelf import Shelf
from voxloom.loading._slots import SlotMemory
from voxloom.loading._stages import StageError
from voxloom.loading._window import Bytes
from voxloom.loading._work import Job, Opened, Workshop, WorkSpec

REPORT_EVERY_S: Final = 0.005
"""How long what is made may wait for others to be reported with it."""


@dataclass(slots=True)
class _Held:
    """A job that patches are asked of; where it is known, its subject is opened for the first."""

    command: Open
    left: int
    opened: Opened | None = None

    @property
    def job(self) -> Job:
        return self.command.job


class Bench:
    """Obeys commands, one after the other, in any process.

    A volume is held from the command that opens its job, or where it is known from the first
    patch, until the last patch of the job is cut; then it goes to a shelf, for a following job
    of the same subject. A patch that cannot be made is reported and the others are made.

    Parameters
    ----------
    spec : WorkSpec
        What to make patches of, and how.
    memory : SlotMemory
        Where finished patches go.
    board : Board, optional
        Where to say what is being done, in case this worker dies or hangs.
    cache : MemoryCache, optional
        Where decoded volumes stay.
    """

    def __init__(
        self,
        spec: WorkSpec,
        memory: SlotMemory,
        board: Board | None = None,
        cache: MemoryCache | None = None,
    ) -> None:
        self._workshop = Workshop(spec, None if board is None else board.enter, cache)
        self._memory, self._board = memory, board
        self._held: dict[int, _Held] = {}
        self._shelf = Shelf()

    def obey(self, command: Command) -> Iterator[Event]:
        """Carry out a command and yield what is to be reported.

        One that was interrupted can be carried out again, and gives the same reports.
        """
        try:
            if isinstance(command, Open):
                held = _Held(command, command.num_places)
                self._held[command.job.number] = held
                if not command.is_known:
                    yield from self._open(held)
            elif isinstance(command, Drop):
                self._held.pop(command.job, None)
            else:
                yield from self._cut(command)
        except Exception as error:
            for number in jobs_of(command):
                self._held.pop(number, None)
                yield _failed(number, error, "prepare" if isinstance(command, Open) else "crop")

    def _open(self, held: _Held) -> Generator[Began, None, Opened]:
        """Open the subject of a job; say so unless that is known and was kept."""
        start = time.perf_counter()
        job, _, is_known, stored = held.command
        place = job.places[0][0]
        self._locate_on_board(job, place)
        opened = self._shelf.take(job.subject, job.epoch)
        if opened is None:
            kept = self._shelf.kept(job.subject)
            opened = self._workshop.open(job.subject, job.epoch, place, kept, stored)
            is_known = is_known and opened is kept  # what was opened is counted
        held.opened = opened
        if is_known:
            return opened
        layout = opened.layout
        if not self._memory.slot_bytes:  # slots are as large as the patches that go into them
            layout = self._workshop.layout(opened, job)
        seconds = self._workshop.take_seconds()
        span = start, time.perf_counter()
        outline = opened.outline()
        yield Began(job.number, outline, layout, seconds, span, opened.is_lasting, opened.stored)
        return opened

    def _cut(self, command: Cut) -> Iterator[Event]:
        if not self._memory.slot_bytes:
            self._memory.attach(command.slot_bytes)
        report, done = _Report(self._workshop), dict[int, int]()
        for number, patches in groupby(command.patches, key=itemgetter(0)):
            held = self._held.get(number)
            if held is None:  # it was dropped, or could not be opened
                continue
            if held.opened is None:
                held.opened = self._shelf.take(held.job.subject, held.job.epoch)
            if report.is_due(held.job.epoch) or held.opened is None:
                yield from report.made()
            try:
                opened = held.opened or (yield from self._open(held))
            except Exception as error:
                done[number] = held.left
                yield _failed(number, error, "prepare")
                continue
            with opened.at_hand():
                for _, place, patch, frame in patches:
                    done[number] = done.get(number, 0) + 1
                    try:
                        finished = self._finish(held.job, opened, command, place, patch, frame)
                        report.add(finished, held.job.epoch)
                    except Exception as error:
                        yield _failed(number, error, "crop", place)
            if done[number] == held.left:
                self._shelf.put(held.job.subject, held.job.epoch, opened)
                held.opened = None
        yield from report.made()
        for number, count in done.items():  # not before: it may be carried out again
            self._held[number].left -= count
            if not self._held[number].left:
                del self._held[number]

    def _locate_on_board(self, job: Job, place: int) -> None:
        if self._board is not None:
            self._board.begin(job.number, place)

    def _finish(
        self, job: Job, opened: Opened, command: Cut, place: int, patch: int, frame: int
    ) -> Finished:
        workshop = self._workshop
        self._locate_on_board(job, place)
        box = workshop.locate(opened, patch, job.epoch)
        if workshop.changes_patches:
            return self._finish_changed(job, opened, box, place, patch, frame)
        layout, orders = opened.layout, ""
        if command.keeps_order and (as_stored := workshop.layout_as_stored(opened)) is not layout:
            layout, orders = as_stored, as_stored.orders
        voxels = self._write(
            layout.nbytes, frame, lambda memory: workshop.cut(opened, box, memory, layout)
        )
        return Finished(
            job.number, place, patch, box.index_ini, voxels, border=opened.border, orders=orders
        )

    def _finish_changed(
        self, job: Job, opened: Opened, box: Box, place: int, patch: int, frame: int
    ) -> Finished:
        made = self._workshop.change(opened, box, job, patch)
        changed = self._workshop.pack(made, box)
        voxels = self._write(made.layout.nbytes, frame, made.write)
        return Finished(job.number, place, patch, box.index_ini, voxels, changed, opened.border)

    def _write(self, nbytes: int, frame: int, write: Callable[[Bytes], None]) -> bytes | None:
        """Let a patch be written into its frame; return it, if it is larger than that."""
        if nbytes <= self._memory.slot_bytes:
            write(self._memory.frame(frame))
            return None
        memory = np.empty(nbytes, dtype=np.uint8)
        write(memory)
        return memory.tobytes()


class _Report:
    """Patches of one epoch that are finished and not yet reported."""

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._finished: list[Finished] = []
        self._start, self._epoch = time.perf_counter(), -1

    def is_due(self, epoch: int) -> bool:
        """Tell whether to report what is finished before anything is made for an epoch."""
        return epoch != self._epoch or time.perf_counter() - self._start > REPORT_EVERY_S

    def add(self, finished: Finished, epoch: int) -> None:
        """Take what is finished, of an epoch."""
        self._finished.append(finished)
        self._epoch = epoch

    def made(self) -> Iterator[Made]:
        """Yield the report, if there is any, and begin the next."""
        if self._finished:
            span = self._start, time.perf_counter()
            yield Made(tuple(self._finished), self._workshop.take_seconds(), span)
        self._finished, self._start = [], time.perf_counter()


def _failed(number: int, error: Exception, otherwise: str, place: int | None = None) -> Failed:
    """Return the report of what went wrong in a job, or with its patch for a place."""
    if isinstance(error, StageError):
        return failure(number, error.stage, place, error.cause)
    return failure(number, otherwise, place, error)
