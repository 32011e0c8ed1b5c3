"""How far ahead patches are made that could as well be made later."""

from __future__ import annotations

import math
import time
from typing import Final, final

# For each worker so many that they are this much work, but so many at least: less, and it rests
# while the trainer's process is busy or has no core.
_LEAST: Final = 8
_WORK_S: Final = 0.024
_REST_S: Final = 0.5  # a shorter one is no use for many patches
_SHARE_OF_NEW: Final = 0.125  # of the last report, in how long a patch takes


@final
class Ahead:
    """How many of the patches that are due next are made, where all could be made at any time.

    They are more where a patch takes little time, and become more where somebody waits although
    workers had long had nothing to do.

    Parameters
    ----------
    num_workers : int
        How many make patches.
    most : int
        There are never more.

    Attributes
    ----------
    count : int
        How many now.
    are_quick : bool
        Whether they are so many because each takes little time: in which order those that are due
        soon are made is no matter then.
    """

    def __init__(self, num_workers: int, most: int) -> None:
        self._num_workers, self._most = num_workers, most
        self._factor, self._patch_s = 1, _WORK_S / _LEAST
        self._had_rest = False
        self._rests_since: float | None = None
        self._decide()

    def note_work(self, count: int, seconds: float) -> None:
        """Note how long a worker took for some patches."""
        patch_s = min(max(seconds / count, _WORK_S / self._most), _WORK_S / _LEAST)
        self._patch_s += _SHARE_OF_NEW * (patch_s - self._patch_s)
        self._decide()

    def note_rest(self, rests: bool) -> None:
        """Note whether all workers rest because enough is made."""
        now, since = time.monotonic(), self._rests_since
        if rests and since is None:
            self._rests_since = now
        elif not rests and since is not None:
            self._had_rest |= now - since > _REST_S
            self._rests_since = None

    def note_wait(self) -> None:
        """Note that somebody waits for a patch."""
        if self._had_rest:
            self._had_rest = False
            if self.count < self._most:
                self._factor *= 2
                self._decide()

    def _decide(self) -> None:
        each = math.ceil(_WORK_S / self._patch_s)
        self.are_quick = each > _LEAST
        self.count = min(each * self._num_workers * self._factor, self._most)
