"""The jobs that lack slots, and which of them gets free ones next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, final

from voxloom.loading._free_slots import FreeSlots
from voxloom.loading._running import Running

# So many patches are asked of a job at once that questions and reports fit in a pipe: else the
# two ends could wait for each other to read.
_MOST_ASKED: Final = 500
# Until its subject is open, a job has slots for so many bytes: to write them takes a worker longer
# than to hear of the others.
_PROMISED_BYTES: Final = 4 << 20


@final
class Lacking:
    """Jobs that lack slots, in the order in which their first patches are due.

    They get slots in that order, or where enough are left for those before them. One whose volumes
    stay in memory loses nothing when its patches are made later: once there are as many slots as it
    lacks they are promised to it, and it gets each when its patch is soon due.

    Parameters
    ----------
    slots : FreeSlots
        What there is to give.
    is_at_hand : callable
        Tells whether the volumes of a subject stay in memory.
    """

    def __init__(self, slots: FreeSlots, is_at_hand: Callable[[int], bool]) -> None:
        self._slots, self._is_at_hand = slots, is_at_hand
        self._eager: deque[Running] = deque()
        self._promised: dict[Running, None] = {}

    def __iter__(self) -> Iterator[Running]:
        yield from chain(self._promised, self._eager)

    def has_promise(self, running: Running) -> bool:
        """Tell whether slots are kept for all that a job lacks."""
        return running in self._promised

    def add(self, running: Running) -> None:
        """Note a job whose first patch is due after those of all others."""
        self._eager.append(running)

    def discard(self, running: Running) -> None:
        """Forget a job, which lacks nothing or is not wanted."""
        self._promised.pop(running, None)
        if running in self._eager:
            self._eager.remove(running)

    def next(
        self, end_of_soon: Callable[[int], int], slot_bytes: int
    ) -> tuple[Running, int] | None:
        """Return which job should have slots now, and how many.

        `end_of_soon` gives the place of an epoch before which promises are kept. A job whose
        subject is not open yet gets a part; others may have theirs meanwhile, if all before them
        still can get what they lack.
        """
        if self._slots.is_out:
            return None
        self._promise()
        for running in self._promised:
            end = end_of_soon(running.job.epoch)
            wanted = min(running.num_lacking_before(end), _MOST_ASKED - len(running.waiting))
            if wanted > 0:
                return running, wanted
        owed, part = self._num_promised, 1 + _PROMISED_BYTES // slot_bytes
        for running in self._eager:
            wanted = min(running.num_lacking, _MOST_ASKED - len(running.waiting))
            if running.outline is None:
                wanted = min(wanted, part - running.granted)
            wanted = min(wanted, len(self._slots) - owed)
            if wanted > 0:
                return running, wanted
            owed += running.num_lacking
        return None

    @property
    def _num_promised(self) -> int:
        return sum(running.num_lacking for running in self._promised)

    def _promise(self) -> None:
        """Promise slots to jobs that can wait for them."""
        owed = self._num_promised
        for running in list(self._eager):
            owed += running.num_lacking
            can_wait = (
                running.outline is not None
                and len(running.job.places) > 1
                and not running.job.is_joined  # as it is due soon
                and self._is_at_hand(running.job.subject)
            )
            if can_wait and owed <= len(self._slots):
                self._eager.remove(running)
                self._promised[running] = None
