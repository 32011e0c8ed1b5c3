"""Laws of who stands in for whom, and of what counts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom import Queue, Subject
from voxloom._errors import PatchError
from voxloom.loading._replacement import ErrorPolicy, Link, Replacements, Substitutes


@given(st.integers(0, 2**40), st.integers(1, 12), st.integers(0, 5), st.data())
def test_each_other_subject_is_tried_once_and_never_the_failed_one(
    seed: int, count: int, epoch: int, data: st.DataObject
) -> None:
    subject = data.draw(st.integers(0, count - 1))
    substitutes = Substitutes(seed, lambda _: np.arange(count))
    tried = [substitutes.choose(epoch, subject, attempt) for attempt in range(count - 1)]
    assert sorted(tried) == [n for n in range(count) if n != subject]  # type: ignore[type-var]
    assert substitutes.choose(epoch, subject, count - 1) is None


def test_substitutes_are_spread_over_the_subjects_and_change_with_the_epoch() -> None:
    substitutes = Substitutes(0, lambda _: np.arange(8))
    chosen = [substitutes.choose(epoch, 3, 0) for epoch in range(200)]
    counts = [chosen.count(other) for other in range(8) if other != 3]
    assert min(counts) > 10


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_numbers_of_a_substitute_are_its_own_and_differ_by_who_is_replaced(
    subject: int, other: int, patch: int
) -> None:
    substitutes = Substitutes(0, lambda _: np.arange(3))
    number = substitutes.number(subject, patch, 1)
    assert 2**32 <= number < 2**63
    assert (number == substitutes.number(other, patch, 1)) == (subject == other)


def test_only_subjects_of_the_epoch_stand_in() -> None:
    substitutes = Substitutes(0, lambda epoch: np.array([1, 4]) + epoch)
    assert {substitutes.choose(0, 1, 0)} == {4}
    assert {substitutes.choose(1, 9, attempt) for attempt in (0, 1)} == {2, 5}


def test_a_subject_that_fails_every_epoch_counts_once() -> None:
    replacements = Replacements(1)
    for epoch in range(5):
        replacements.accept((epoch, 0), (Link(2, epoch + 3, "bad"),))
    assert replacements.state((9, 0)) == [[4, 2, 7]]


def test_a_substitute_that_fails_too_counts_as_well() -> None:
    replacements = Replacements(1)
    with pytest.raises(PatchError, match=r"(?s)max_replaced=1.*first.*second"):
        replacements.accept((0, 0), (Link(2, 3, "the first"), Link(3, 4, "the second")))


def test_what_was_refused_is_not_listed() -> None:
    replacements = Replacements(0)
    with pytest.raises(PatchError, match="max_replaced=0"):
        replacements.accept((0, 0), (Link(2, 3, "bad"),))
    assert replacements.state((1, 0)) == []


def test_the_state_of_the_state_is_the_same() -> None:
    replacements, other = Replacements(3), Replacements(3)
    replacements.accept((0, 4), (Link(2, 3, "bad"),))
    replacements.accept((1, 2), (Link(5, 3, "bad"),))
    other.restore(replacements.state((2, 0)))
    assert other.state((2, 0)) == replacements.state((2, 0)) == [[0, 2, 3], [1, 5, 3]]


@pytest.mark.parametrize(
    ("policy", "runs", "deaths"),
    [
        (ErrorPolicy(), 1, 2),
        (ErrorPolicy("retry"), 2, 2),
        (ErrorPolicy("replace", retries=0), 1, 2),
        (ErrorPolicy("replace", retries=3), 4, 4),
    ],
)
def test_a_policy_says_how_often_work_is_done(policy: ErrorPolicy, runs: int, deaths: int) -> None:
    assert (policy.runs, policy.deaths) == (runs, deaths)


def fail_for_two(subject: Subject, rng: np.random.Generator) -> Subject:
    if subject.number == 2:
        raise LookupError("no such thing")
    return subject


def test_replacements_that_were_made_ahead_and_never_handed_out_are_forgotten(
    make_queue: Callable[..., Queue], caplog: pytest.LogCaptureFixture
) -> None:
    def run(num_workers: int) -> list[Any]:
        queue = make_queue(
            transform=fail_for_two, num_workers=num_workers, on_error="replace", retries=0,
            executor="threads" if num_workers else None, max_length=12,
            shuffle_subjects=False, shuffle_patches=False,
        )  # fmt: skip
        batches = queue.batches(6)
        next(batches)  # of the first two subjects; the third is in the batch that is made ahead
        end = time.monotonic() + 30
        while num_workers and not caplog.records and time.monotonic() < end:
            time.sleep(0.001)
        assert len(caplog.records) == (num_workers > 0)
        states = [queue.state_dict()["replaced"]]
        for _ in range(2):  # the next epoch begins
            batches = queue.batches(6)
            next(batches)
            states.append(queue.state_dict()["replaced"])
        next(batches)
        return [*states, queue.state_dict()["replaced"]]

    with caplog.at_level(logging.WARNING, "voxloom"):
        expected = run(0)
        caplog.clear()
        assert run(2) == expected
    assert expected[:3] == [[], [], []] != expected[3:]


def test_a_state_is_loaded_when_nothing_is_made_ahead_any_more(
    make_queue: Callable[..., Queue], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what is replaced meanwhile would be taken for replaced in the state."""
    names: list[str] = []
    restore = Replacements.restore

    def look(self: Replacements, state: Any) -> None:
        names.extend(thread.name for thread in threading.enumerate())
        restore(self, state)

    monkeypatch.setattr(Replacements, "restore", look)
    queue = make_queue(num_workers=1, executor="threads")
    batches = queue.batches(2)
    next(batches)
    assert "voxloom-batches" in [thread.name for thread in threading.enumerate()]
    queue.load_state_dict(queue.state_dict())
    assert names
    assert "voxloom-batches" not in names
