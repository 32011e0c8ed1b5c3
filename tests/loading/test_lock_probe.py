import threading
import time

import pytest

from voxloom.loading._lock_probe import lock_share


def count_in_python() -> None:
    end = time.perf_counter() + 0.2
    while time.perf_counter() < end:
        sum(range(1000))


def test_work_in_python_keeps_others_waiting_and_sleep_does_not() -> None:
    busy, idle = lock_share(count_in_python), lock_share(lambda: time.sleep(0.2))
    assert busy > 0.4
    assert idle < busy / 2


def test_what_the_work_raises_is_raised_and_no_thread_is_left() -> None:
    def fail() -> None:
        raise LookupError("no such thing")

    before = threading.active_count()
    with pytest.raises(LookupError, match="no such thing"):
        lock_share(fail)
    assert threading.active_count() == before
