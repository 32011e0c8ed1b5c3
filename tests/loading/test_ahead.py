"""More patches are made ahead where somebody waits although workers had a long rest."""

import pytest

from voxloom.loading._ahead import Ahead


def test_more_are_made_where_somebody_waits_although_workers_had_a_long_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    ahead = Ahead(4, 10)

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
    assert ahead.count == 4
    rest(0.6)
    rest(0.1)
    ahead.note_wait()
    ahead.note_wait()
    assert ahead.count == 8
    rest(60)
    ahead.note_wait()
    assert ahead.count == 10


def test_no_more_are_made_than_there_may_be() -> None:
    assert Ahead(16, 5).count == 5
