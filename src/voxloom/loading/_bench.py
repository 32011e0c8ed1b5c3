"""One worker's bench: the subjects it holds open, and what it does when it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator

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
    Finished,
    Made,
    Open,
    failure,
)
from voxloom.loading._shelf import Shelf
from voxloom.loading._slots import Layout, SlotMemory
from voxloom.loading._stages import StageError
from voxloom.loading._work import Job, Opened, Workshop, WorkSpec


class Bench:
    """Obeys commands, one after the other, in any process.

    A volume is held from the command that opens its job until the last patch of the job is
    cut; then it goes to a shelf, for a following job of the same subject. A patch that cannot
    be made is reported and the others are made.

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
        self._jobs: dict[int, tuple[Job, Opened]] = {}
        self._left: dict[int, int] = {}
        self._shelf = Shelf()

    def obey(self, command: Command) -> Iterator[Event]:
        """Carry out a command and yield what is to be reported."""
        number = command.job.number if isinstance(command, Open) else command.job
        try:
            if isinstance(command, Open):
                self._locate_on_board(command.job, command.job.places[0][0])
                yield from self._open(command)
            elif isinstance(command, Drop):
                self._forget(number)
            elif number in self._jobs:
                yield from self._cut(command)
        except Exception as error:
            self._forget(number)
            stage, cause = _stage_of(error, "prepare" if isinstance(command, Open) else "crop")
            yield failure(number, stage, None, cause)

    def _open(self, command: Open) -> Iterator[Began]:
        start = time.perf_counter()
        job, is_known, stored = command
        opened = self._shelf.take(job.subject, job.epoch)
        if opened is None:
            kept, place = self._shelf.kept(job.subject), job.places[0][0]
            opened = self._workshop.open(job.subject, job.epoch, place, kept, stored)
            is_known = is_known and opened is kept  # what was opened is counted
        self._jobs[job.number] = job, opened
        self._left[job.number] = len(job.places)
        if is_known:
            return
        layout = opened.layout
        if not self._memory.slot_bytes:  # slots are as large as the patches that go into them
            layout = self._workshop.layout(opened, job)
        seconds = self._workshop.take_seconds()
        span = start, time.perf_counter()
        outline = opened.outline()
        yield Began(job.number, outline, layout, seconds, span, opened.is_lasting, opened.stored)

    def _cut(self, command: Cut) -> Iterator[Event]:
        job, opened = self._jobs[command.job]
        if not self._memory.slot_bytes:
            self._memory.attach(command.slot_bytes)
        start = time.perf_counter()
        layout = self._workshop.layout_as_stored(opened) if command.keeps_order else opened.layout
        finished, failed = self._finish_all(job, opened, layout, command)
        self._left[job.number] -= len(command.patches)
        if not self._left[job.number]:
            self._forget(job.number)
            self._shelf.put(job.subject, job.epoch, opened)
        yield from failed
        seconds = self._workshop.take_seconds()
        orders = "" if layout is opened.layout else layout.orders
        yield Made(job.number, finished, seconds, (start, time.perf_counter()), orders)

    def _finish_all(
        self, job: Job, opened: Opened, layout: Layout, command: Cut
    ) -> tuple[tuple[Finished, ...], list[Event]]:
        finished: list[Finished] = []
        failed: list[Event] = []
        for place, patch, frame in command.patches:
            self._locate_on_board(job, place)
            try:
                finished.append(self._finish(job, opened, layout, place, patch, frame))
            except Exception as error:
                stage, cause = _stage_of(error, "crop")
                failed.append(failure(job.number, stage, place, cause))
        return tuple(finished), failed

    def _locate_on_board(self, job: Job, place: int) -> None:
        if self._board is not None:
            self._board.begin(job.number, place)

    def _finish(
        self, job: Job, opened: Opened, layout: Layout, place: int, patch: int, frame: int
    ) -> Finished:
        box = self._workshop.locate(opened, patch, job.epoch)
        if self._workshop.changes_patches:
            return self._finish_changed(job, opened, box, place, patch, frame)
        if layout.nbytes <= self._memory.slot_bytes:
            self._workshop.cut(opened, box, self._memory.frame(frame), layout)
            return Finished(place, patch, box.index_ini, border=opened.border)
        voxels = np.empty(layout.nbytes, dtype=np.uint8)
        self._workshop.cut(opened, box, voxels, layout)
        return Finished(place, patch, box.index_ini, voxels.tobytes(), border=opened.border)

    def _finish_changed(
        self, job: Job, opened: Opened, box: Box, place: int, patch: int, frame: int
    ) -> Finished:
        made = self._workshop.change(opened, box, job, patch)
        changed = self._workshop.pack(made, box)
        if made.layout.nbytes <= self._memory.slot_bytes:
            made.write(self._memory.frame(frame))
            return Finished(place, patch, box.index_ini, changed=changed, border=opened.border)
        voxels = np.empty(made.layout.nbytes, dtype=np.uint8)
        made.write(voxels)
        return Finished(place, patch, box.index_ini, voxels.tobytes(), changed, opened.border)

    def _forget(self, number: int) -> None:
        self._jobs.pop(number, None)
        self._left.pop(number, None)


def _stage_of(error: Exception, otherwise: str) -> tuple[str, BaseException]:
    if isinstance(error, StageError):
        return error.stage, error.cause
    return otherwise, error
