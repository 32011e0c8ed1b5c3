"""The stages of making a patch: their names, how long each takes, and where one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

KEPT: Final = "kept"
"""No stage: how long a report waited, by intent, for others to be sent with it."""

_T = TypeVar("_T")
_IN_LINE: Final = Path("/proc/thread-self/schedstat")


class StageError(Exception):
    """Carries the stage at which an exception came up to whoever reports it."""

    def __init__(self, stage: str, cause: BaseException) -> None:
        super().__init__(stage, cause)
        self.stage, self.cause = stage, cause


class StageClock:
    """Adds up how long each stage takes in one worker, until somebody asks.

    Reading and decoding happen in one call of a library. They are told apart by the system: the
    time that loading computes, or could but for a free core, is decoding; the rest is waiting
    for the disk or the network, and counts as reading.

    Parameters
    ----------
    enter : callable, optional
        Is told the name of each stage when it begins, in a worker. Where there is none, this is
        the trainer's own thread, which Ctrl-C ends, and `sys.exit` in a handler of SIGTERM.

    Examples
    --------
    >>> clock = StageClock()
    >>> clock.run("crop", lambda: 7)
    7
    >>> list(clock.take()), clock.take()
    (['crop'], {})
    """

    def __init__(self, enter: Callable[[str], None] | None = None) -> None:
        self._enter = enter
        self._seconds: dict[str, float] = {}

    def run(self, stage: str, work: Callable[[], _T]) -> _T:
        """Return what `work` gives, and add its time to a stage.

        Raises
        ------
        StageError
            Around whatever went wrong.
        """
        if self._enter is not None:
            self._enter(stage)
        start = time.perf_counter()
        try:
            return work()
        except BaseException as error:  # a panic in Rust is no Exception
            if self._enter is None and isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise StageError(stage, error) from error
        finally:
            self._add(stage, time.perf_counter() - start)

    def run_load(self, work: Callable[[], _T]) -> _T:
        """Do the same for ``"read"``, and tell the time that it computes, ``"decode"``."""
        start = time.thread_time() + _seconds_in_line()
        try:
            return self.run("read", work)
        finally:
            ready = time.thread_time() + _seconds_in_line() - start
            computed = min(ready, self._seconds["read"])
            self._add("decode", computed)
            self._add("read", -computed)

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds


def _seconds_in_line() -> float:
    """Return how long this thread was ready and had no core; 0 where the system does not say."""
    try:
        return int(_IN_LINE.read_bytes().split()[1]) * 1e-9  # its second number, in nanoseconds
    except (OSError, ValueError, IndexError):
        return 0.0
