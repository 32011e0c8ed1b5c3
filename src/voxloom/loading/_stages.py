"""The stages of making a patch: their names, how long each takes, and where one failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

KEPT: Final = "kept"
"""No stage: how long a report waited, by intent, for others to be sent with it."""

_T = TypeVar("_T")


class StageError(Exception):
    """Carries the stage at which an exception came up to whoever reports it."""

    def __init__(self, stage: str, cause: BaseException) -> None:
        super().__init__(stage, cause)
        self.stage, self.cause = stage, cause


class StageClock:
    """Adds up how long each stage takes in one worker, until somebody asks.

    Reading and decoding happen in one call of a library. They are told apart by the processor:
    the time that loading computes is decoding, the rest is waiting for the disk, the network
    or a free core, and counts as reading.

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
        start = time.thread_time()
        try:
            return self.run("read", work)
        finally:
            computed = min(time.thread_time() - start, self._seconds["read"])
            self._add("decode", computed)
            self._add("read", -computed)

    def take(self) -> dict[str, float]:
        """Return the seconds of each stage since the last call."""
        seconds, self._seconds = self._seconds, {}
        return seconds

    def _add(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
