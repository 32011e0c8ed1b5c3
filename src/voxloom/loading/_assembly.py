"""Making the next batch while the trainer works on this one."""

from __future__ import annotations

import atexit
import threading
from collections import deque
from collections.abc import Generator
from typing import Any, Final

import torch

from voxloom.loading._batch import BatchBuilder
from voxloom.loading._device import DeviceBatch, DeviceCopier
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._running import Patch
from voxloom.loading._voxels import BatchVoxels, CopiedVoxels, OwnedVoxels, UnturnedVoxels

Batch = dict[str, Any]

_GRACE_S: Final = 2.0
# Slots of a batch that the trainer waits for are given back by such shares of all.
_SHARE_KEPT: Final = 8


def batches_in_turn(
    dispatcher: Dispatcher, epoch: int, ranges: list[range], device: torch.device | None
) -> Generator[Batch]:
    """Yield a batch for each range of places, made when it is asked for."""
    copier = DeviceCopier(device)
    dispatcher.keep_order(copier.is_turning)
    for places in ranges:
        builder = BatchBuilder(len(places), _copied(len(places), copier))
        for place in places:
            patch = dispatcher.take(epoch, place)
            try:
                builder.add(patch)
            finally:
                dispatcher.release([patch])
        batch = builder.batch()
        dispatcher.meter.note_collate(epoch, builder.seconds)
        yield copier.hand_over(copier.copy(batch))


def _copied(size: int, copier: DeviceCopier) -> BatchVoxels:
    if copier.is_turning:
        return UnturnedVoxels(size, pinned=copier.is_pinned)
    return CopiedVoxels(size)


def batches_ahead(
    dispatcher: Dispatcher, epoch: int, ranges: list[range], device: torch.device | None
) -> Generator[Batch]:
    """Yield a batch for each range of places; a thread makes the next one meanwhile.

    Until the trainer asks for a batch, its patches keep their slots: what is assembled ahead
    counts as held. From then on each slot is free as soon as its patch was copied, so a batch
    may be larger than the number of slots.
    """
    copier = DeviceCopier(device)
    dispatcher.keep_order(copier.is_turning)
    assembler = _Assembler(dispatcher, epoch, ranges, copier)
    try:
        for _ in ranges:
            yield assembler.next()
    finally:
        assembler.stop()


class _Assembler:
    def __init__(
        self, dispatcher: Dispatcher, epoch: int, ranges: list[range], copier: DeviceCopier
    ) -> None:
        self._dispatcher, self._epoch, self._ranges = dispatcher, epoch, ranges
        self._copier = copier
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._wanted = 0
        self._finished: deque[DeviceBatch] = deque()
        self._kept: list[Patch] = []
        self._most_kept = dispatcher.memory.count // _SHARE_KEPT
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="voxloom-batches", daemon=True)
        self._thread.start()
        atexit.register(self._end_with_python)

    def next(self) -> Batch:
        self._dispatcher.check_process()  # a forked copy has no thread that would make a batch
        with self._changed:
            self._wanted += 1
            self._changed.notify_all()
            if self._finished:
                return self._copier.hand_over(self._finished.popleft())
        self._let_go()  # else the thread does, while the trainer goes on
        with self._changed:
            while not self._finished and self._error is None:
                self._changed.wait()
            if not self._finished and self._error is not None:
                raise self._error  # not before: the error belongs to a later batch
            finished = self._finished.popleft()
        return self._copier.hand_over(finished)

    def stop(self) -> None:
        if self._dispatcher.is_forked:  # nothing here is its own
            return
        atexit.unregister(self._end_with_python)
        self._ask_to_end()
        self._thread.join()
        self._let_go()

    def _end_with_python(self) -> None:
        """End the thread first: one that leaves torch while Python ends aborts the process."""
        if self._thread.is_alive():  # it is not in a forked copy
            self._ask_to_end()
            self._thread.join(_GRACE_S)

    def _ask_to_end(self) -> None:
        self._stopped.set()
        self._dispatcher.notify()
        with self._changed:
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for number, places in enumerate(self._ranges, start=1):
                batch = self._assemble(number, places)
                if batch is None:
                    return
                with self._changed:
                    self._finished.append(batch)
                    self._changed.notify_all()
                    while self._wanted < number and not self._stopped.is_set():
                        self._changed.wait()
                self._let_go()
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _assemble(self, number: int, places: range) -> DeviceBatch | None:
        def let_go() -> None:
            if self._wanted >= number:
                self._let_go()

        builder = BatchBuilder(len(places), self._voxels(len(places)))
        for place in places:
            patch = self._dispatcher.take_unless(
                self._stopped, self._epoch, place, make_room=let_go
            )
            if patch is None:
                return None
            try:
                builder.add(patch)
            finally:
                with self._changed:
                    self._kept.append(patch)  # not before: the slot may be written again then
                if len(self._kept) >= self._most_kept:
                    let_go()
        batch = builder.batch()
        self._dispatcher.meter.note_collate(self._epoch, builder.seconds)
        return self._copier.copy(batch)

    def _voxels(self, size: int) -> BatchVoxels:
        if self._copier.is_turning:
            return _copied(size, self._copier)
        return OwnedVoxels(size, self._dispatcher.lender)

    def _let_go(self) -> None:
        with self._changed:
            kept, self._kept = self._kept, []
        if kept:
            self._dispatcher.release(kept)
