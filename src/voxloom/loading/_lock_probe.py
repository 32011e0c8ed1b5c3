"""How long work keeps the other threads of its process waiting."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Final

_NAP_S: Final = 0.0005
_JITTER_S: Final = 0.001  # so late a nap may end without anybody holding anything


def lock_is_global() -> bool:
    """Tell whether only one thread of this Python runs at a time."""
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())


def lock_share(work: Callable[[], object]) -> float:
    """Return the share of its time that some work holds the interpreter's lock.

    The work runs in a thread. This one naps meanwhile, and adds up how much later than asked
    it could go on: a nap ends without the lock, but going on takes it. On a machine whose cores
    are all busy the share comes out too large.

    Raises
    ------
    Exception
        Whatever the work raises.

    Examples
    --------
    >>> lock_share(lambda: time.sleep(0.05)) < 0.5
    True
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="voxloom-probe", daemon=True)
    start, late = time.perf_counter(), 0.0
    thread.start()
    while thread.is_alive():
        before = time.perf_counter()
        time.sleep(_NAP_S)
        waited = time.perf_counter() - before - _NAP_S
        late += waited if waited > _JITTER_S else 0.0
    if errors:
        raise errors[0]
    return late / (time.perf_counter() - start)
