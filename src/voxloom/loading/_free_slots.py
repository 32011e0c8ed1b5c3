"""The slots that nothing is in. There are more of them only once they are needed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import final

from voxloom.loading._slots import SlotMemory


@final
class FreeSlots:
    """Slots that are open and free, then those that may be opened.

    Parameters
    ----------
    memory : SlotMemory
        Where the slots are.
    """

    def __init__(self, memory: SlotMemory) -> None:
        self._memory = memory
        # In the order in which they came free: then the same ones lie in one batch again and again.
        self._free: deque[int] = deque()
        self._is_refused = False

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
