"""Batches whose voxels stay in their slots: nothing is copied, and they end with the next one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, final

import torch

from voxloom._errors import QueueError
from voxloom.loading._assembly import batches_ahead, batches_in_turn
from voxloom.loading._batch import BatchBuilder
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._running import Patch
from voxloom.loading._slots import SlotMemory
from voxloom.loading._voxels import ShownVoxels
from voxloom.subjects import DATA

Batch = dict[str, Any]
MakeBatches = Callable[[Dispatcher, int, list[range]], Generator[Any]]


def choose_way(num_workers: int, device: torch.device | None, zero_copy: bool) -> MakeBatches:
    """Return what makes batches: copied ahead, copied when asked for, or left in their slots.

    Raises
    ------
    ValueError
        If batches are both moved to a device and not copied.
    """
    if zero_copy and device is not None:
        raise ValueError(
            f"zero_copy=True leaves voxels where they are and device={str(device)!r} moves them; "
            f"give one of them"
        )
    if zero_copy:
        return batches_leased
    return functools.partial(batches_ahead if num_workers else batches_in_turn, device=device)


@final
class LeasedBatch(Mapping[str, Any]):
    """A batch as `Queue.batches` gives it, that is valid until the next one is asked for.

    Its voxels lie in the queue's own slots. Once these are given back, looking something up
    raises an error; a tensor that was taken out before shows other voxels by and by.
    """

    def __init__(self, batch: Batch, memory: SlotMemory, slots: tuple[int, ...]) -> None:
        self._batch: Batch | None = batch
        self._memory = memory
        self._generations = {slot: memory.generation(slot) for slot in slots}

    @property
    def is_valid(self) -> bool:
        """Whether the voxels are still those of this batch."""
        known = self._generations.items()
        return self._batch is not None and all(self._memory.generation(s) == g for s, g in known)

    def keep(self) -> Batch:
        """Return the batch in memory of its own, for as long as it is wanted.

        Raises
        ------
        QueueError
            If its slots were given back.
        """
        batch = self._valid()
        return {name: _own(item) if self._generations else item for name, item in batch.items()}

    def end(self) -> None:
        """Let go of the voxels: from now on, looking something up raises an error."""
        self._batch = None

    def __getitem__(self, name: str) -> Any:
        return self._valid()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._valid())

    def __len__(self) -> int:
        return len(self._valid())

    def __repr__(self) -> str:
        return f"LeasedBatch({list(self)})" if self.is_valid else "LeasedBatch(ended)"

    def _valid(self) -> Batch:
        if self._batch is None or not self.is_valid:
            raise QueueError(
                "the slots of this batch were given back: with zero_copy=True a batch is valid "
                "until the next one is asked for, or the loop is left. Take batch.keep() in time, "
                "or use zero_copy=False"
            )
        return self._batch


def batches_leased(
    dispatcher: Dispatcher, epoch: int, ranges: list[range]
) -> Generator[LeasedBatch]:
    """Yield a batch for each range of places; its slots are given back when it is left."""
    dispatcher.keep_order(False)
    for places in ranges:
        gathering = _Gathering(dispatcher, len(places))
        batch = None
        try:
            for place in places:
                gathering.add(dispatcher.take(epoch, place, make_room=gathering.copy_out))
            batch = gathering.batch(epoch)
            yield batch
        finally:
            if batch is not None:
                batch.end()
            gathering.give_back()


class _Gathering:
    """Patches of one batch, which keep their slots while there are others for what is due."""

    def __init__(self, dispatcher: Dispatcher, size: int) -> None:
        self._dispatcher, self._size = dispatcher, size
        self._memory = dispatcher.memory
        self._held: list[Patch] = []
        self._builder: BatchBuilder | None = None

    def add(self, patch: Patch) -> None:
        first = self._held[0] if self._held else patch
        fits = patch.layout.nbytes <= self._memory.slot_bytes
        self._held.append(patch)
        if self._builder is not None or not fits or patch.layout != first.layout:
            self.copy_out()

    def copy_out(self) -> None:
        """Copy what there is, so that its slots can be given to what is due."""
        if self._builder is None:
            self._builder = BatchBuilder(self._size)
        try:
            for patch in self._held:
                self._builder.add(patch)
        finally:
            self.give_back()

    def batch(self, epoch: int) -> LeasedBatch:
        slots = tuple(patch.slot for patch in self._held)
        window = None
        if self._builder is None and "F" not in self._held[0].layout.orders:
            window = self._memory.side_by_side(slots)
        if window is None:
            self.copy_out()
            slots = ()
        else:
            arrays = self._held[0].layout.views(window)
            voxels = {name: torch.from_numpy(array) for name, array in arrays.items()}
            self._builder = BatchBuilder(self._size, ShownVoxels(voxels))
            for patch in self._held:
                self._builder.add(patch)
        assert self._builder is not None
        batch = self._builder.batch()
        self._dispatcher.meter.note_collate(epoch, self._builder.seconds)
        return LeasedBatch(batch, self._memory, slots)

    def give_back(self) -> None:
        held, self._held = self._held, []
        if held:
            self._dispatcher.release(held)


def _own(item: Any) -> Any:
    if isinstance(item, dict) and DATA in item:
        return {**item, DATA: item[DATA].clone(memory_format=torch.contiguous_format)}
    return item
