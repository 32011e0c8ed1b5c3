"""Threads that compute: as many as this process has cores, and fewer where it is told so."""

import os

import pytest

from voxloom._cores import count_cores, count_threads


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="cores can be given on Linux only")
def test_a_process_that_is_given_one_core_counts_one() -> None:
    given = os.sched_getaffinity(0)
    assert count_cores() == len(given)
    os.sched_setaffinity(0, {min(given)})
    try:
        assert count_cores() == count_threads() == 1
    finally:
        os.sched_setaffinity(0, given)


@pytest.mark.parametrize(
    ("said", "threads"), [("1", 1), ("100000", None), ("0", None), ("", None), ("2,1", None)]
)
def test_threads_are_the_cores_or_what_is_said_if_that_is_fewer(
    monkeypatch: pytest.MonkeyPatch, said: str, threads: int | None
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert count_threads() == (threads or count_cores())
