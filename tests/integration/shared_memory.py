"""What lies in /dev/shm, which belongs to all processes of a machine."""

import os
import time
from collections.abc import Collection

PATIENCE_S = 5


def names_in_dev_shm() -> set[str]:
    """Return the names of what is there now."""
    return set(os.listdir("/dev/shm"))  # noqa: PTH208


def left_in_dev_shm(before: Collection[str]) -> set[str]:
    """Return what was not there before and stays.

    Other processes, such as tests beside this one, make semaphores there and remove them at once.
    """
    left, end = names_in_dev_shm().difference(before), time.monotonic() + PATIENCE_S
    while left and time.monotonic() < end:
        time.sleep(0.02)
        left &= names_in_dev_shm()
    return left
