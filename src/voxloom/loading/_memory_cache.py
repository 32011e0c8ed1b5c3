"""Decoded volumes that stay in memory between epochs, where all workers of a queue find them."""

from __future__ import annotations

import math
import mmap
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from multiprocessing import reduction
from typing import Any, Final, NamedTuple, final

import numpy as np

from voxloom.io import Array, Shape4, file_state, files_of
from voxloom.loading._memory import available_bytes
from voxloom.loading._slots import open_nameless_file
from voxloom.loading._window import Bytes, map_privately, round_up
from voxloom.patches import c_order_pieces
from voxloom.subjects import Image, Subject

if sys.platform != "win32":
    import fcntl

_WORD: Final = 8
"""Bytes of the number that says how much is taken."""
_PATIENCE_S: Final = 0.05


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
    """

    name: str
    state: str
    offset: int
    shape: Shape4
    order: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    def lie_in(self, memory: Bytes) -> Array:
        """Return the array ``(C, W, H, D)`` of the voxels that lie in `memory`."""
        lying = [self.shape[axis] for axis in self.order]
        array: Array = memory[: self.nbytes].view(self.dtype).reshape(lying)
        return array.transpose(np.argsort(self.order))


StoredVolumes = tuple[StoredVolume, ...]


@final
class MemoryCache:
    """Memory for decoded volumes, which all workers fill and read.

    It is a file without a name, which takes memory as it is filled. Nothing ever leaves: an epoch
    visits every subject as often as the next, so one that stays is worth as much as another.
    What is read from it can be changed in place, and nobody else sees that.

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

    def recall(self, subject: Subject, stored: StoredVolumes) -> dict[str, Array]:
        """Return the voxels of images whose files are still as they were."""
        found = {}
        for volume in stored:
            if _is_as_stored(subject, volume):
                with suppress(OSError):  # too many maps: it is decoded again
                    found[volume.name] = self._view(volume)
        return found

    def is_current(self, subject: Subject, stored: StoredVolumes) -> bool:
        """Tell whether all files that volumes were read from are still as they were."""
        return all(_is_as_stored(subject, volume) for volume in stored)

    def store(
        self, images: Mapping[str, Image], *, as_decoded: bool
    ) -> tuple[dict[str, Array], StoredVolumes | None]:
        """Decode images and keep what there is room for.

        Parameters
        ----------
        images : mapping
            By name.
        as_decoded : bool
            Whether voxels keep the memory order in which they are decoded, for a transform that
            takes whole volumes: what it computes may depend on it. Otherwise they are turned into
            the order of patches, which are cut three times as fast then.

        Returns
        -------
        arrays : dict
            The voxels of all, in memory that nothing else holds; or none.
        stored : tuple of StoredVolume or None
            Where those lie that are kept. None where files were changed a moment ago: then nothing
            was decoded, and it may be tried at the next visit.
        """
        if not self._limit:
            return {}, ()
        arrays: dict[str, Array] = {}
        stored: list[StoredVolume] = []
        states: dict[str, str] = {}
        for name, image in images.items():
            if (state := file_state_of(image)) is None:
                return {}, None
            states[name] = state
        for name, state in states.items():
            arrays[name] = images[name].read_own()
            with suppress(OSError):  # somebody is at it, or there is less memory than was said
                volume = self._write(name, state, arrays[name], as_decoded)
                if volume is not None:
                    arrays[name] = self._view(volume)
                    stored.append(volume)
        return arrays, tuple(stored)

    def close(self) -> None:
        """Give the memory back, when what was read from it is gone too."""
        self._fd = -1
        self._let_go()

    def _hold(self, fd: int | None) -> None:
        self._fd = -1 if fd is None else fd
        self._let_go = weakref.finalize(self, _close, fd)

    def _write(self, name: str, state: str, voxels: Array, as_decoded: bool) -> StoredVolume | None:
        """Keep voxels, if there is room for them, and memory."""
        offset = self._reserve(voxels.nbytes)
        if offset is None:
            return None
        order: tuple[int, ...] = 0, 1, 2, 3
        pieces: Iterable[memoryview] = c_order_pieces(voxels)
        if as_decoded:
            order = tuple(sorted(order, key=lambda axis: -abs(voxels.strides[axis])))
            pieces = c_order_pieces(np.ascontiguousarray(voxels.transpose(order)))
        place = offset
        for piece in pieces:
            left = piece
            while left:
                count = os.pwrite(self._fd, left, place)
                left, place = left[count:], place + count
        channels, w, h, d = voxels.shape
        return StoredVolume(name, state, offset, (channels, w, h, d), order, voxels.dtype.str)

    def _reserve(self, size: int) -> int | None:
        """Return where so many bytes may be written, by nobody else.

        How much is taken stands on the first page. Nobody waits there for long: another process
        may have been stopped just then.
        """
        free = available_bytes()
        if free is not None and free < 2 * size:
            return None
        with ExitStack() as unlock:
            if not self._lock.acquire(timeout=_PATIENCE_S):
                return None
            unlock.callback(self._lock.release)
            _lock_first_page(self._fd)
            unlock.callback(fcntl.lockf, self._fd, fcntl.LOCK_UN, _WORD)
            taken = int.from_bytes(os.pread(self._fd, _WORD, 0), "little")
            fin = taken + round_up(size, mmap.PAGESIZE)
            if fin > self._limit:
                return None
            os.pwrite(self._fd, fin.to_bytes(_WORD, "little"), 0)
        return mmap.PAGESIZE + taken

    def _view(self, volume: StoredVolume) -> Array:
        return volume.lie_in(map_privately(self._fd, volume.offset, volume.nbytes))

    def __getstate__(self) -> dict[str, Any]:
        return {"limit": self._limit, "fd": reduction.DupFd(self._fd) if self._fd >= 0 else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._limit, self._lock = state["limit"], threading.Lock()
        self._hold(None if state["fd"] is None else state["fd"].detach())


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
