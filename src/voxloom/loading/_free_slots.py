"""The slots that nothing is in. There are more of them only once they are needed."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import Final, final

from voxloom.loading._slots import SlotMemory

_REST_S: Final = 0.5  # a shorter one is no use for many patches


@final
class FreeSlots:
    """Slots that are open and free, then those that may be opened.

    Whatever must wait in memory gets slots up to the bound. Patches that could as well be made
    later, as they are due, are content with what is free and with `few`, which become more where
    somebody waits although workers had long had nothing to do.

    Parameters
    ----------
    memory : SlotMemory
        Where the slots are.
    few : int
        So many are opened for patches that could be made later.
    """

    def __init__(self, memory: SlotMemory, few: int) -> None:
        self._memory, self._few = memory, few
        # In the order in which they came free: then the same ones lie in one batch again and again.
        self._free: deque[int] = deque()
        self._is_refused = self._had_rest = False
        self._rests_since: float | None = None

    def __len__(self) -> int:
        return self._memory.count - self.held

    def __iter__(self) -> Iterator[int]:
        yield from self._free
        yield from range(self._memory.num_open, self._memory.count)

    @property
    def held(self) -> int:
        """How many slots are not free."""
        return self._memory.num_open - len(self._free)

    @property
    def few(self) -> int:
        """How many are opened for patches that could be made later."""
        return min(self._few, self._memory.count)

    @property
    def room(self) -> int:
        """How many more patches may be made that could be made later."""
        return len(self._free) + max(0, self.few - self._memory.num_open)

    @property
    def is_out(self) -> bool:
        """Whether none is free, nor can be opened."""
        is_open = self._memory.num_open == self._memory.count
        return not self._free and (is_open or self._is_refused)

    @property
    def is_refused(self) -> bool:
        """Whether there was no memory for another one, when it was last needed."""
        return self._is_refused

    def have(self, wanted: int) -> int:
        """Open slots until so many are free, if there is memory; return how many are."""
        missing = min(wanted - len(self._free), self._memory.count - self._memory.num_open)
        if missing > 0:
            slots = self._memory.open(missing) or self._memory.open(1)
            self._is_refused = not slots
            self._free.extend(slots)
        return len(self._free)

    def take(self) -> int:
        """Return the slot that has been free for longest."""
        return self._free.popleft()

    def put(self, *slots: int) -> None:
        """Take slots back."""
        self._free.extend(slots)

    def note_rest(self, rests: bool) -> None:
        """Note whether all workers rest for want of room."""
        now, since = time.monotonic(), self._rests_since
        if rests and since is None:
            self._rests_since = now
        elif not rests and since is not None:
            self._had_rest |= now - since > _REST_S
            self._rests_since = None

    def note_wait(self) -> None:
        """Note that somebody waits for a patch: where workers had a long rest, room grows."""
        if self._had_rest:
            self._few, self._had_rest = 2 * self._few, False
