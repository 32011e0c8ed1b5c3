"""How many cores this process may use: a container may have fewer than the machine."""

from __future__ import annotations

import os


def count_cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def count_threads() -> int:
    """Return how many threads may compute side by side: the cores, or `OMP_NUM_THREADS` if fewer.

    Workers of a queue, which share the cores among them, have that set to one.
    """
    given = os.environ.get("OMP_NUM_THREADS", "")
    return min(count_cores(), int(given)) if given.isdecimal() and int(given) else count_cores()
