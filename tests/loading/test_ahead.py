"""How many patches are made ahead: more where they are fast, or where a long rest was too short."""

import pytest

from voxloom.loading._ahead import Ahead


def test_more_are_made_where_somebody_waits_although_workers_had_a_long_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    ahead = Ahead(2, 40)

    def rest(seconds: float) -> None:
        nonlocal now
        ahead.note_rest(True)
        ahead.note_rest(True)
        now += seconds
        ahead.note_rest(False)

    rest(0.4)
    now += 9
    ahead.note_rest(False)
    ahead.note_wait()
    assert ahead.count == 16
    rest(0.6)
    rest(0.1)
    ahead.note_wait()
    ahead.note_wait()
    assert ahead.count == 32
    rest(60)
    ahead.note_wait()
    assert ahead.count == 40


def test_no_more_are_made_than_there_may_be() -> None:
    ahead = Ahead(16, 5)
    assert ahead.count == 5
    ahead.note_work(1, 0.0)
    assert ahead.count == 5


def test_what_takes_a_worker_some_milliseconds_is_made_ahead_for_it() -> None:
    ahead = Ahead(3, 1000)
    for _ in range(99):
        ahead.note_work(4, 4 * 0.001)
    assert ahead.count == 3 * 24


def test_patches_that_take_long_are_as_many_ahead_as_at_the_start() -> None:
    ahead = Ahead(3, 1000)
    for _ in range(99):
        ahead.note_work(2, 9.0)
    assert ahead.count == 3 * 8


def test_one_report_that_took_no_time_is_not_believed() -> None:
    ahead = Ahead(3, 1000)
    for _ in range(99):
        ahead.note_work(1, 0.001)
    before = ahead.count
    ahead.note_work(1, 0.0)
    assert before <= ahead.count <= before * 1.2
