"""The opened subjects that a worker keeps, so that the next patch of one costs what it holds."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final, final

from voxloom.loading._work import Opened

MOST_SUBJECTS: Final = 256
"""Each has its files mapped, and the sums over blocks of its map."""

MOST_VOXELS: Final = 2**35
"""In all: sums over blocks of so many voxels take 130 MB at most for each label."""


@final
class Shelf:
    """Opened subjects, the least recently used of which goes first.

    A subject whose volumes were decoded, or which is another in each epoch, is kept until the
    next one is opened and no longer: there is never room for two. One that is read from a cache
    is looked at again in each epoch, as its files may have changed. Where that is a folder, it is
    looked at at each visit, and has no pages of the files in memory between two.

    Examples
    --------
    >>> Shelf().take(0, epoch=0) is None
    True
    """

    def __init__(self) -> None:
        self._lasting: OrderedDict[int, Opened] = OrderedDict()
        self._voxels = 0
        self._looked_at: dict[int, int] = {}
        self._last: tuple[tuple[int, int], Opened] | None = None

    def take(self, subject: int, epoch: int) -> Opened | None:
        """Return a subject that is kept, and is still as it was; else make room for it."""
        kept = self.kept(subject)
        if kept is not None and (not kept.is_cached or self._looked_at.get(subject) == epoch):
            return kept
        if self._last is not None and self._last[0] == (subject, epoch):
            return self._last[1]
        self._clear_last()  # before the next volume is decoded, not after
        return None

    def kept(self, subject: int) -> Opened | None:
        """Return a subject as it was when it was opened, in whichever epoch, or None."""
        if subject in self._lasting:
            self._lasting.move_to_end(subject)
        return self._lasting.get(subject)

    def put(self, subject: int, epoch: int, opened: Opened) -> None:
        """Keep a subject that is not needed at the moment."""
        if not opened.stays_in_memory and (opened.is_cached or not opened.is_lasting):
            if self._last is not None and self._last[1] is not opened:
                self._clear_last()
            self._last = (subject, epoch), opened
        if self._lasting.get(subject) is not opened:
            self._remove(subject)
            if opened.is_lasting:
                self._add(subject, opened)
        if opened.stays_in_memory:
            self._looked_at[subject] = epoch

    def _add(self, subject: int, opened: Opened) -> None:
        self._lasting[subject] = opened
        self._voxels += math.prod(opened.spatial_shape)
        while len(self._lasting) > 1 and self._is_too_much():
            self._remove(next(iter(self._lasting)))

    def _remove(self, subject: int) -> None:
        self._looked_at.pop(subject, None)
        gone = self._lasting.pop(subject, None)
        if gone is not None:
            self._voxels -= math.prod(gone.spatial_shape)

    def _clear_last(self) -> None:
        """Let go of the last subject, and of the pages of a cache that it was read from."""
        if self._last is not None:
            for image in self._last[1].subject.get_images(intensity_only=False):
                image.source.release()
            self._last = None

    def _is_too_much(self) -> bool:
        return len(self._lasting) > MOST_SUBJECTS or self._voxels > MOST_VOXELS
