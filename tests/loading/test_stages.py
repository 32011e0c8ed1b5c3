import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from voxloom.loading import _stages
from voxloom.loading._stages import StageClock, StageError


class Clock:
    """Time that passes only when it is told to, for the wall and for the processor."""

    def __init__(self) -> None:
        self.wall_s = self.processor_s = self.in_line_s = 0.0

    def perf_counter(self) -> float:
        return self.wall_s

    def thread_time(self) -> float:
        return self.processor_s

    def spend(self, wall_s: float, processor_s: float = 0.0, in_line_s: float = 0.0) -> None:
        self.wall_s += wall_s
        self.processor_s += processor_s
        self.in_line_s += in_line_s


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_stages, "time", clock)
    monkeypatch.setattr(_stages, "_seconds_in_line", lambda: clock.in_line_s)
    return clock


def test_a_stage_adds_up_over_calls_until_it_is_asked_for(passing: Clock) -> None:
    clock = StageClock()
    for _ in range(2):
        clock.run("crop", lambda: passing.spend(2))
    assert clock.take() == {"crop": 4}
    assert clock.take() == {}


def test_an_exception_says_its_stage_and_the_time_still_counts(passing: Clock) -> None:
    def work() -> None:
        passing.spend(3)
        raise ZeroDivisionError("here")

    clock = StageClock()
    with pytest.raises(StageError, match="locate") as caught:
        clock.run("locate", work)
    assert isinstance(caught.value.cause, ZeroDivisionError)
    assert clock.take() == {"locate": 3}


def test_the_part_of_loading_that_computes_is_decoding(passing: Clock) -> None:
    clock = StageClock()
    clock.run_load(lambda: passing.spend(5, processor_s=2))
    assert clock.take() == {"read": 3, "decode": 2}


def test_waiting_for_a_core_is_no_reading(passing: Clock) -> None:
    clock = StageClock()
    clock.run_load(lambda: passing.spend(7, processor_s=2, in_line_s=4))
    assert clock.take() == {"read": 1, "decode": 6}


@pytest.mark.skipif(not Path("/proc/thread-self/schedstat").exists(), reason="the system says not")
def test_threads_that_share_a_core_wait_for_it_and_one_that_sleeps_does_not() -> None:
    def compute() -> float:
        before, until = _stages._seconds_in_line(), time.thread_time() + 0.1
        while time.thread_time() < until:
            pass
        return _stages._seconds_in_line() - before

    def sleep() -> float:
        before = _stages._seconds_in_line()
        time.sleep(0.2)
        return _stages._seconds_in_line() - before

    command = [sys.executable, "-c", "while True: pass"]
    core = min(os.sched_getaffinity(0))
    with ThreadPoolExecutor(1, initializer=lambda: os.sched_setaffinity(0, {core})) as thread:
        other = thread.submit(subprocess.Popen, command).result()  # on the same core as its parent
        try:
            assert thread.submit(compute).result() > 0.03
        finally:
            other.kill()
            other.wait()
        assert thread.submit(sleep).result() < 0.1


def test_decoding_never_takes_longer_than_loading(passing: Clock) -> None:
    clock = StageClock()
    clock.run_load(lambda: passing.spend(5, processor_s=6))
    assert clock.take() == {"read": 0, "decode": 5}


def test_failing_to_load_names_the_stage() -> None:
    with pytest.raises(StageError, match="read"):
        StageClock().run_load(lambda: 1 / 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_fails_a_stage_in_a_worker_and_goes_on_in_the_trainer(
    error: type[BaseException],
) -> None:
    def end() -> None:
        raise error("enough")

    with pytest.raises(StageError, match="transform"):
        StageClock(lambda stage: None).run("transform", end)
    with pytest.raises(error, match="enough"):
        StageClock().run("transform", end)


def test_whoever_asked_is_told_of_each_stage_as_it_begins() -> None:
    told: list[str] = []
    clock = StageClock(told.append)
    clock.run("transform", lambda: told.append("work"))
    assert told == ["transform", "work"]
