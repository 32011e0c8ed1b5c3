"""Where finished patches lie until they are handed out: slots of equal size in one memory.

Between processes the memory is a file without a name (a memfd on Linux, an unlinked temporary
file elsewhere): nothing is left behind when a process is killed, the 64 MB of a container's
/dev/shm do not matter, and a slot is reserved before anybody is told to write into it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing import reduction
from typing import Any, Final

import numpy as np

from voxloom._errors import QueueMemoryError
from voxloom.geometry import Shape3
from voxloom.io import Array, Shape4
from voxloom.loading._memory import check_room
from voxloom.loading._window import (
    POPULATE_WRITE,
    Bytes,
    Windows,
    can_map,
    map_side_by_side,
    round_up,
)
from voxloom.subjects import Image, Subject

_ALIGNMENT: Final = 64
# Slots from this size on are made of whole pages, so that they can be mapped side by side.
_LARGE: Final = 16 * mmap.PAGESIZE
# There is address space for so many times the slots: spare frames come in the place of those that
# batches own.
_SPARE: Final = 2
_PARTS_KEPT: Final = 16  # for each slot: as many images come without making windows anew


@dataclass(frozen=True, slots=True)
class Field:
    """Where the voxels of one image lie in a slot: ``(C, w, h, d)``, with `order` C or F.

    In C order the last axis is the fastest, in F order that of w; channels lie one after the other.
    """

    name: str
    shape: tuple[int, int, int, int]
    dtype: str
    offset: int
    order: str = "C"

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class Layout:
    """What one patch looks like in memory.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> image = ScalarImage(tensor=np.zeros((2, 9, 9, 9), dtype=np.int16))
    >>> Layout.of(Subject(t1=image), (4, 4, 4)).nbytes
    256
    """

    fields: tuple[Field, ...]
    nbytes: int

    @classmethod
    def of(cls, subject: Subject, patch_size: Shape3) -> Layout:
        """Return the layout of a subject's patches."""
        images = subject.get_images_dict(intensity_only=False)
        return cls._of_shapes(images, [(image.shape[0], *patch_size) for image in images.values()])

    @classmethod
    def of_patch(cls, patch: Subject) -> Layout:
        """Return the layout of one patch, whose images may have sizes of their own."""
        images = patch.get_images_dict(intensity_only=False)
        return cls._of_shapes(images, [image.shape for image in images.values()])

    @classmethod
    def _of_shapes(cls, images: dict[str, Image], shapes: list[Shape4]) -> Layout:
        fields, offset = [], 0
        for (name, image), shape in zip(images.items(), shapes, strict=True):
            field = Field(name, shape, image.dtype.str, offset)
            if field.nbytes >= _LARGE:  # so that it can be mapped beside that of other patches
                field = replace(field, offset=round_up(offset, mmap.PAGESIZE))
            fields.append(field)
            offset = round_up(field.offset + field.nbytes, _ALIGNMENT)
        return cls(tuple(fields), offset)

    @property
    def orders(self) -> str:
        """The memory order of each image: a letter each."""
        return "".join(field.order for field in self.fields)

    def in_orders(self, orders: str) -> Layout:
        """Return the layout of patches whose images have these memory orders."""
        fields = (
            replace(field, order=order) for field, order in zip(self.fields, orders, strict=True)
        )
        return replace(self, fields=tuple(fields))

    def views(self, memory: Bytes) -> dict[str, Array]:
        """Return the arrays of the patch that lies in `memory`, without copying.

        Of patches that lie side by side in ``(B, nbytes)``, each array has B patches.
        """
        return {field.name: _view(memory, field) for field in self.fields}


def _view(memory: Bytes, field: Field) -> Array:
    voxels = memory[..., field.offset : field.offset + field.nbytes].view(field.dtype)
    return in_order(voxels.reshape(*memory.shape[:-1], *field.shape), field.order)


def in_order(memory: Array, order: str) -> Array:
    """Return a view ``(..., w, h, d)`` in C or F order over contiguous memory of that shape.

    Examples
    --------
    >>> in_order(np.arange(8).reshape(2, 2, 2), "F")[:, 0, 0].tolist()
    [0, 1]
    """
    if order == "C":
        return memory
    *front, w, h, d = memory.shape
    return memory.reshape(*front, d, h, w).swapaxes(-1, -3)


class SlotMemory:
    """Memory for `count` slots, of a size that is decided later, once.

    The trainer's process makes it and reserves slots as they are needed; workers get it through a
    pipe or when they are started, and map it when they are told the size of a slot. Workers know
    frames, the places in the memory; the trainer knows which frame a slot has, and may exchange it.

    Parameters
    ----------
    count : int
        The most slots there may be.
    shared : bool
        Whether other processes write into it.

    Attributes
    ----------
    num_open : int
        How many slots there are: the first ones.
    """

    def __init__(self, count: int, *, shared: bool) -> None:
        self.count = count
        self.slot_bytes = self.num_open = 0
        self._generations = [0] * count
        self._frames = list(range(count))
        self._num_frames = count
        self._fd = open_nameless_file("voxloom-patches") if shared else -1
        self._windows = Windows(self._fd, _PARTS_KEPT * self.count)
        self._memory: Bytes | None = None
        self._mapping: mmap.mmap | None = None
        self._touched: set[int] = set()

    def reserve(self, slot_bytes: int) -> None:
        """Decide the size of a slot.

        Raises
        ------
        QueueMemoryError
            If there is not that much memory for all slots.
        """
        slot_bytes = self._rounded(slot_bytes)
        size = max(slot_bytes, 1) * self.count
        try:
            check_room(size)
            if self._fd >= 0:
                os.ftruncate(self._fd, size * _SPARE)  # takes no memory until it is reserved
            self.attach(slot_bytes)
        except (OSError, MemoryError, OverflowError, ValueError) as error:
            self.slot_bytes = 0
            raise QueueMemoryError(
                f"{self.count} patches of {slot_bytes / 2**20:.1f} MiB do not fit in memory "
                f"({error}); choose a smaller max_length or patch_size"
            ) from error

    def attach(self, slot_bytes: int) -> None:
        """Map memory that was reserved, here or in another process."""
        size = max(slot_bytes, 1) * self.count
        self.slot_bytes = slot_bytes
        if self._fd < 0:
            self._memory = np.empty(size, dtype=np.uint8)
        else:
            self._mapping = mmap.mmap(self._fd, size * _SPARE)
            self._memory = np.frombuffer(self._mapping, dtype=np.uint8)

    def frame(self, number: int) -> Bytes:
        """Return the bytes of one frame."""
        assert self._memory is not None
        if number not in self._touched:
            self._touch(number)
        return self._memory[number * self.slot_bytes : (number + 1) * self.slot_bytes]

    def frame_of(self, slot: int) -> int:
        """Return which frame a slot has."""
        return self._frames[slot]

    def slot(self, number: int) -> Bytes:
        """Return the bytes of one slot."""
        return self.frame(self._frames[number])

    def open(self, count: int) -> range:
        """Return so many more slots, or as many as may be; none, if there is no memory for them."""
        slots = self._reserve(self.num_open, min(count, self.count - self.num_open))
        self.num_open += len(slots)
        return slots

    def grow(self, count: int) -> range:
        """Return so many more frames, which no slot has; none, if there is no memory for them."""
        if self._fd < 0 or self._num_frames + count > self.count * _SPARE:
            return range(0)
        frames = self._reserve(self._num_frames, count)
        self._num_frames += len(frames)
        return frames

    def exchange(self, slot: int, frame: int) -> int:
        """Give a slot another frame, and return the one that it had."""
        self._frames[slot], had = frame, self._frames[slot]
        return had

    def generation(self, number: int) -> int:
        """Return how often a slot was given back."""
        return self._generations[number]

    def retire(self, number: int) -> None:
        """Note that what lies in a slot is no longer needed."""
        self._generations[number] += 1

    def side_by_side(self, numbers: Sequence[int]) -> Bytes | None:
        """Return the bytes of some slots as ``(len(numbers), slot_bytes)``, without a copy.

        None where they are not in a file, or too small to be whole pages.
        """
        if self._fd < 0 or not can_map(self.slot_bytes):
            return None
        starts = [self._frames[number] * self.slot_bytes for number in numbers]
        return map_side_by_side(self._fd, starts, self.slot_bytes)

    def can_show(self, field: Field) -> bool:
        """Tell whether an image of several patches can be shown as one in C order, uncopied."""
        return (
            self._fd >= 0
            and field.order == "C"
            and can_map(self.slot_bytes)
            and can_map(field.nbytes)
            and field.offset % mmap.PAGESIZE == 0
        )

    def show(self, frames: Sequence[int], field: Field) -> Array:
        """Return an image of the patches that lie in some frames, as ``(B, C, w, h, d)``.

        Raises
        ------
        OSError
            If the system refuses to map it.
        """
        starts = [frame * self.slot_bytes + field.offset for frame in frames]
        window = self._windows.get(starts, field.nbytes)
        return window.view(field.dtype).reshape(len(frames), *field.shape)

    def _reserve(self, first: int, count: int) -> range:
        """Take the memory of some frames, and return them; none, if there is not that much."""
        try:
            check_room(count * self.slot_bytes)
            if self._fd >= 0 and count and hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._fd, first * self.slot_bytes, count * self.slot_bytes)
        except (OSError, MemoryError):
            return range(0)
        return range(first, first + count)

    def _touch(self, number: int) -> None:
        """Have all pages of a frame mapped at once: one by one they cost as much as a copy."""
        self._touched.add(number)
        if self._mapping is not None and sys.platform == "linux":
            with contextlib.suppress(OSError):  # an older system
                self._mapping.madvise(POPULATE_WRITE, number * self.slot_bytes, self.slot_bytes)

    def _rounded(self, slot_bytes: int) -> int:
        if self._fd < 0 or slot_bytes < _LARGE:
            return slot_bytes
        return round_up(slot_bytes, mmap.PAGESIZE)

    def close(self) -> None:
        """Give the memory back."""
        self._memory = self._mapping = None
        fd, self._fd = self._fd, -1  # first: whom Ctrl-C stops here closes once more
        if fd >= 0:
            os.close(fd)

    def __getstate__(self) -> dict[str, Any]:
        return {"count": self.count, "fd": reduction.DupFd(self._fd)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.count, self.slot_bytes, self._memory = state["count"], 0, None
        self.num_open = 0
        self._fd = state["fd"].detach()
        self._generations = [0] * self.count
        self._frames, self._num_frames = list(range(self.count)), self.count
        self._windows = Windows(self._fd, _PARTS_KEPT * self.count)
        self._mapping, self._touched = None, set()


def open_nameless_file(label: str) -> int:
    """Return the descriptor of a file that is gone when nobody has it open; Linux shows `label`."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(label, os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
