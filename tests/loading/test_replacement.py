"""Laws of who stands in for whom, and of what counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
