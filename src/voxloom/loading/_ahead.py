"""How far ahead patches are made that could as well be made later."""

from __future__ import annotations

import time
from typing import Final, final

_REST_S: Final = 0.5  # a shorter one is no use for many patches


@final
class Ahead:
    """How many of the patches that are due next are made, where all could be made at any time.

    They become more where somebody waits although workers had long had nothing to do.

    Parameters
    ----------
    count : int
        How many, to begin with.
    most : int
        They never become more.

    Attributes
    ----------
    count : int
        How many now.
    """

    def __init__(self, count: int, most: int) -> None:
        self.count, self._most = min(count, most), most
        self._had_rest = False
        self._rests_since: float | None = None

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
            self.count, self._had_rest = min(2 * self.count, self._most), False
