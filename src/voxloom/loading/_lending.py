"""Batches that own frames of the queue's memory: nothing is copied, and nobody else writes there.

A batch takes the frames that its patches lie in, and the slots get spare frames in their place.
Everything that shows the batch's voxels refers to its claim; once nothing does, its frames are
spare again. A trainer that keeps many batches gets the following ones as copies.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from voxloom.io import Array
from voxloom.loading._running import Patch
from voxloom.loading._slots import Field, Layout, SlotMemory

# The batch that the trainer works on, the one that is made meanwhile, and one that it still has.
_BATCHES_LENT: Final = 3


class Claim:
    """Frames that a batch owns; they are spare again when nothing refers to it any more."""

    __slots__ = ("_spare", "frames")

    def __init__(self, spare: deque[int]) -> None:
        self.frames: list[int] = []
        self._spare = spare

    def __del__(self) -> None:
        self._spare.extend(self.frames)


class _Owned(np.ndarray[tuple[int, ...], np.dtype[np.generic]]):
    """An array that keeps a claim; a tensor made of it does the same."""

    claim: Claim


class Lender:
    """Gives frames of the queue's memory away to batches.

    One thread at a time asks; claims end in any thread.

    Parameters
    ----------
    memory : SlotMemory
        Whose frames.
    """

    def __init__(self, memory: SlotMemory) -> None:
        self._memory = memory
        self._spare: deque[int] = deque()
        self._made = 0

    def claim(self, count: int) -> Claim | None:
        """Return a claim on `count` frames to come, or None if patches must be copied.

        That is where the trainer keeps too many batches, or there is no memory for spare frames.
        """
        missing = count - len(self._spare)
        if missing > 0 and self._made + missing <= _BATCHES_LENT * count:
            made = self._memory.grow(missing)
            self._made += len(made)
            self._spare.extend(made)
        if len(self._spare) < count:
            return None
        return Claim(self._spare)

    def is_whole(self, field: Field) -> bool:
        """Tell whether an image is made of whole pages, so that it needs no copy."""
        return self._memory.can_show(field)

    def can_take(self, patch: Patch, layout: Layout | None) -> bool:
        """Tell whether a patch lies in its frame, as others of this layout do."""
        return patch.layout == layout and patch.layout.nbytes <= self._memory.slot_bytes

    def take(self, claim: Claim, patch: Patch) -> None:
        """Let a claim have the frame that a patch lies in; its slot gets another."""
        claim.frames.append(self._memory.exchange(patch.slot, self._spare.popleft()))

    def show(self, claim: Claim, field: Field) -> Array:
        """Return an image of all patches of a claim, ``(B, C, w, h, d)``, contiguous.

        Raises
        ------
        OSError
            If the system refuses to map it.
        """
        array = self._memory.show(claim.frames, field).view(_Owned)
        array.claim = claim
        return array
