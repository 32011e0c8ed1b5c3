"""Decoded volumes that stay in memory between epochs, where all workers of a queue find them."""

from __future__ import annotations

import math
import mmap
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import reduction
from typing import Any, Final, NamedTuple, final

import numpy as np

from voxloom._errors import VoxloomError
from voxloom.geometry import Box
from voxloom.io import (
    Array,
    FourBitVolume,
    NiftiSource,
    Shape4,
    file_state,
    files_of,
    to_four_bits,
)
from voxloom.loading._memory import available_bytes
from voxloom.loading._slots import open_nameless_file
from voxloom.loading._window import (
    Bytes,
    Runs,
    give_zeros_back,
    map_privately,
    map_to_fill,
    round_up,
)
from voxloom.patches import copy_box
from voxloom.subjects import LABEL, Image, Subject

if sys.platform != "win32":
    import fcntl

_WORD: Final = 8
"""Bytes of a number on the first page."""
_TAKEN: Final = 0
"""Which number says how many bytes volumes have, after the first page."""
_ZEROS: Final = 1
"""Which number says how many of them take no memory."""
_PATIENCE_S: Final = 0.05
_PATCH_ORDER: Final = (0, 1, 2, 3)


class StoredVolume(NamedTuple):
    """Where the voxels of an image lie, and the state of its files when they were decoded.

    Attributes
    ----------
    name : str
        Of the image.
    state : str
        Of the files that it was read from.
    offset : int
        Where its first byte is.
    shape : (C, W, H, D)
        Of the voxels.
    order : tuple of int
        The axes as they lie in memory, the slowest first.
    dtype : str
        Of the voxels.
    has_four_bits : bool
        Whether each takes four bits.
    zeros : tuple of (int, int)
        Which of its bytes take no memory.
    """

    name: str
    state: str
    offset: int
    shape: Shape4
    order: tuple[int, ...]
    dtype: str
    has_four_bits: bool
    zeros: Runs

    @property
    def nbytes(self) -> int:
        """How many bytes they were given, zeros and all."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def fill_in(self, image: Image, memory: Bytes) -> Image:
        """Return the image of the voxels that lie in `memory`."""
        if self.has_four_bits:
            source = FourBitVolume(memory, image.dtype, image.space, image.source.path)
            return image.with_source(source)
        lying = [self.shape[axis] for axis in self.order]
        array: Array = memory[: self.nbytes].view(self.dtype).reshape(lying)
        return image.with_data(array.transpose(np.argsort(self.order)))


StoredVolumes = tuple[StoredVolume, ...]


@final
class MemoryCache:
    """Memory for decoded volumes, which all workers fill and read.

    It is a file without a name, which takes memory as it is filled, and none for zeros. Nothing
    ever leaves: an epoch visits every subject as often as the next, so one that stays is worth as
    much as another. What is read from it can be changed in place, and nobody else sees that.

    Parameters
    ----------
    limit : int
        The most bytes that volumes may take; anything above 0 needs Linux.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._hold(open_nameless_file("voxloom-volumes") if self._limit else None)

    def twin(self) -> MemoryCache:
        """Return the same memory for another thread, whatever becomes of this one."""
        twin = MemoryCache.__new__(MemoryCache)
        twin._limit, twin._lock = self._limit, self._lock
        twin._hold(os.dup(self._fd) if self._fd >= 0 else None)
        return twin

    def recall(self, subject: Subject, stored: StoredVolumes) -> dict[str, Image]:
        """Return the images whose files are still as they were, with voxels in memory."""
        found = {}
        for volume in stored:
            if _is_as_stored(subject, volume):
                with suppress(OSError):  # too many maps: it is decoded again
                    found[volume.name] = self._view(volume, subject[volume.name])
        return found

    def is_current(self, subject: Subject, stored: StoredVolumes) -> bool:
        """Tell whether all files that volumes were read from are still as they were."""
        return all(_is_as_stored(subject, volume) for volume in stored)

    def store(
        self, images: Mapping[str, Image], *, as_decoded: bool
    ) -> tuple[dict[str, Image], StoredVolumes | None]:
        """Decode images and keep what there is room for.

        Parameters
        ----------
        images : mapping
            By name.
        as_decoded : bool
            Whether voxels keep the memory order in which they are decoded, for a transform that
            takes whole volumes: what it computes may depend on it. Otherwise they are turned into
            the order of patches, which are cut three times as fast then, and labels are packed.

        Returns
        -------
        decoded : dict
            All of them, with voxels in memory that nothing else holds; or none.
        stored : tuple of StoredVolume or None
            Where those lie that are kept. None where files were changed a moment ago: then nothing
            was decoded, and it may be tried at the next visit.
        """
        if not self._limit:
            return {}, ()
        decoded: dict[str, Image] = {}
        stored: list[StoredVolume] = []
        states: dict[str, str] = {}
        for name, image in images.items():
            if (state := file_state_of(image)) is None:
                return {}, None
            states[name] = state
        for name, state in states.items():
            decoded[name], volume = self._decode(name, state, images[name], as_decoded)
            if volume is not None:
                stored.append(volume)
        return decoded, tuple(stored)

    def close(self) -> None:
        """Give the memory back, when what was read from it is gone too."""
        self._fd = -1
        self._let_go()

    def _hold(self, fd: int | None) -> None:
        self._fd = -1 if fd is None else fd
        self._let_go = weakref.finalize(self, _close, fd)

    def _decode(
        self, name: str, state: str, image: Image, as_decoded: bool
    ) -> tuple[Image, StoredVolume | None]:
        """Return an image in memory, and where that is kept; None where it is not."""
        given = _to_write(image)
        try:
            volume = self._write(name, state, image, given, as_decoded)
            if volume is not None:
                return self._view(volume, image), volume
        except VoxloomError:  # the file cannot be decoded
            raise
        except OSError:  # somebody is at it, or there is less memory than was said
            pass
        own = image.read_own() if isinstance(given, NiftiSource) else given
        return image.with_data(own), None

    def _write(
        self, name: str, state: str, image: Image, voxels: Array | NiftiSource, as_decoded: bool
    ) -> StoredVolume | None:
        """Keep voxels, or decode those that are to be kept, if there is room for them."""
        size = math.prod(voxels.shape) * voxels.dtype.itemsize
        offset = self._reserve(size)
        if offset is None:
            return None
        try:
            memory = map_to_fill(self._fd, offset, size)
            order = _fill(memory, voxels, as_decoded)
            has_four_bits = not as_decoded and _pack(memory, image)
            zeros = give_zeros_back(self._fd, offset, memory)
        except BaseException:
            self._give_back(offset, size)
            raise
        self._count_zeros(sum(fin - ini for ini, fin in zeros))
        dtype = voxels.dtype.str
        return StoredVolume(name, state, offset, image.shape, order, dtype, has_four_bits, zeros)

    def _reserve(self, size: int) -> int | None:
        """Return where so many bytes may be written, by nobody else; None if there is no room."""
        free = available_bytes()
        if free is not None and free < 2 * size:
            return None
        with self._counting():
            taken = self._number(_TAKEN)
            room = round_up(size, mmap.PAGESIZE)
            if taken + room - self._number(_ZEROS) > self._limit:
                return None
            self._set_number(_TAKEN, taken + room)
        return mmap.PAGESIZE + taken

    def _give_back(self, offset: int, size: int) -> None:
        """Let others have room that was reserved, if nobody reserved more since."""
        with suppress(OSError), self._counting():
            taken = offset - mmap.PAGESIZE
            if self._number(_TAKEN) == taken + round_up(size, mmap.PAGESIZE):
                self._set_number(_TAKEN, taken)

    def _count_zeros(self, size: int) -> None:
        """Let others have the room of zeros that take no memory."""
        with suppress(OSError), self._counting():
            self._set_number(_ZEROS, self._number(_ZEROS) + size)

    @contextmanager
    def _counting(self) -> Iterator[None]:
        """Have the numbers on the first page, which say what is free, for oneself.

        Nobody waits there for long: another process may have been stopped just then. A
        BlockingIOError is raised instead.
        """
        if not self._lock.acquire(timeout=_PATIENCE_S):
            raise BlockingIOError
        try:
            _lock_first_page(self._fd)
            try:
                yield
            finally:
                fcntl.lockf(self._fd, fcntl.LOCK_UN, _WORD)
        finally:
            self._lock.release()

    def _number(self, which: int) -> int:
        return int.from_bytes(os.pread(self._fd, _WORD, which * _WORD), "little")

    def _set_number(self, which: int, number: int) -> None:
        os.pwrite(self._fd, number.to_bytes(_WORD, "little"), which * _WORD)

    def _view(self, volume: StoredVolume, image: Image) -> Image:
        memory = map_privately(self._fd, volume.offset, volume.nbytes, volume.zeros)
        return volume.fill_in(image, memory)

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self._limit, "fd": reduction.DupFd(self._fd) if self._fd >= 0 else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._limit, self._lock = state["limit"], threading.Lock()
        self._hold(None if state["fd"] is None else state["fd"].detach())


def _to_write(image: Image) -> Array | NiftiSource:
    """Return what decodes into memory that is given, or else the voxels in memory of their own."""
    source = image.source
    if isinstance(source, NiftiSource) and source.unpacks_to_map and source.dtype == image.dtype:
        return source
    return image.read_own()


def _fill(memory: Bytes, voxels: Array | NiftiSource, as_decoded: bool) -> tuple[int, ...]:
    """Write voxels into memory, decoded there if need be; return their axes as they lie."""
    if as_decoded:
        return _fill_as_decoded(memory, voxels)
    turned = memory.view(voxels.dtype).reshape(voxels.shape)
    for channel, first, slab in _slabs_of(voxels):
        w, h, d = slab.shape
        out = turned[channel : channel + 1, :, :, first : first + d]
        copy_box(slab[None], Box((0, 0, 0), (w, h, d)), out)
    return _PATCH_ORDER


def _fill_as_decoded(memory: Bytes, voxels: Array | NiftiSource) -> tuple[int, ...]:
    if isinstance(voxels, NiftiSource):
        return _order_of(voxels.decode_into(lambda _: memory))
    order = _order_of(voxels)
    lying = memory.view(voxels.dtype).reshape([voxels.shape[axis] for axis in order])
    np.copyto(lying, voxels.transpose(order))
    return order


def _pack(memory: Bytes, image: Image) -> bool:
    """Give the voxels of a label map, in the order of patches, four bits each; tell whether."""
    return image.type == LABEL and to_four_bits(memory.view(image.dtype).reshape(image.shape))


def _slabs_of(voxels: Array | NiftiSource) -> Iterable[tuple[int, int, Array]]:
    if isinstance(voxels, NiftiSource):
        return voxels.slabs()
    return [(number, 0, channel) for number, channel in enumerate(voxels)]


def _order_of(voxels: Array) -> tuple[int, ...]:
    """Return the axes as they lie in memory, the slowest first."""
    return tuple(sorted(_PATCH_ORDER, key=lambda axis: -abs(voxels.strides[axis])))


def _is_as_stored(subject: Subject, volume: StoredVolume) -> bool:
    return file_state_of(subject[volume.name]) == volume.state


def _lock_first_page(fd: int) -> None:
    """Lock it against other processes; a BlockingIOError is raised where one does not let go."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _WORD)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PATIENCE_S / 100)


def _close(fd: int | None) -> None:
    if fd is not None:
        os.close(fd)


def to_store(subject: Subject) -> dict[str, Image]:
    """Return the images whose decoded voxels may be kept: all files of theirs are known.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> to_store(Subject(t1=ScalarImage(tensor=np.zeros((1, 4, 4, 4)))))
    {}
    """
    return {
        name: image
        for name, image in subject.get_images_dict(intensity_only=False).items()
        if image.is_packed and not image.check_nans and files_of(image.source)
    }


def file_state_of(image: Image) -> str | None:
    """Return the state of the files of an image, or None where a change could go unnoticed."""
    try:
        state, is_settled = file_state(files_of(image.source))
    except OSError:  # whatever is wrong, reading it says it better
        return None
    return state if is_settled else None
