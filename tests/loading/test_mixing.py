import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.loading._mixing import BatchCounter, measure_mixing, warn_if_few_subjects
from voxloom.loading._plan import PlanOptions, plan_epoch

SEQUENCES = st.lists(st.integers(0, 5), min_size=1, max_size=60)


@given(SEQUENCES, st.integers(1, 8))
def test_counting_as_batches_leave_and_all_at_once_agree(subjects: list[int], size: int) -> None:
    whole = len(subjects) // size * size or len(subjects)
    counter = BatchCounter()
    for start in range(0, whole, size):
        counter.add(subjects[start : start + size] if whole >= size else subjects)
    counts = np.unique(subjects, return_counts=True)[1]
    assert counter.mixing(counts) == measure_mixing(subjects, size)


@given(SEQUENCES, st.integers(1, 8))
def test_the_figures_stay_in_their_bounds(subjects: list[int], size: int) -> None:
    mixing = measure_mixing(subjects, size)
    most = min(size, len(set(subjects)))
    assert 1 <= mixing.distinct_min <= mixing.distinct_mean <= most
    assert 1 - 1e-9 <= mixing.shuffled_distinct <= most + 1e-9
    assert 0 < mixing.design_effect <= size


@given(st.lists(SEQUENCES, min_size=2, max_size=4))
def test_merged_counts_are_those_of_all_batches(batches: list[list[int]]) -> None:
    together, merged = BatchCounter(), BatchCounter()
    for batch in batches:
        together.add(batch)
        one = BatchCounter()
        one.add(batch)
        merged.merge(one)
    assert vars(together) == vars(merged)


def test_what_a_global_shuffle_gives_is_what_shuffling_gives() -> None:
    subjects = np.repeat(np.arange(12), [1, 2, 3, 4, 5, 6, 6, 5, 4, 3, 2, 1])
    rng = np.random.default_rng(0)
    seen = [measure_mixing(rng.permutation(subjects), 7) for _ in range(2000)]
    expected = seen[0].shuffled_distinct
    assert np.mean([mixing.distinct_mean for mixing in seen]) == pytest.approx(expected, rel=0.005)
    assert np.mean([mixing.design_effect for mixing in seen]) == pytest.approx(1, rel=0.01)


def test_batches_of_one_subject_have_the_design_effect_of_whole_clusters() -> None:
    mixing = measure_mixing(np.repeat(np.arange(1000), 4), 4)
    assert mixing.distinct_mean == 1
    assert mixing.design_effect == pytest.approx(4, rel=0.01)


def test_nothing_counted_is_no_error() -> None:
    assert BatchCounter().mixing([]).batches == 0


def test_the_spread_schedule_mixes_as_the_design_asks() -> None:
    plan = plan_epoch([16] * 300, 0, PlanOptions(seed=0, max_length=256))
    mixing = measure_mixing(plan.subjects, 8)
    assert mixing.distinct_mean >= 7.9
    assert mixing.design_effect < 1.05


def test_few_subjects_in_a_batch_are_warned_of_with_the_figures_and_the_cure() -> None:
    plan = plan_epoch([64] * 40, 0, PlanOptions(seed=0, max_length=64))
    message = r"batches of 16 come from \d\.\d subjects .* would give 1\d\.\d \(max_length=64\)"
    with pytest.warns(UserWarning, match=message):
        assert warn_if_few_subjects(plan, 16, {"max_length": 64})


@pytest.mark.parametrize(("subjects", "patches", "max_length"), [(300, 16, 256), (4, 8, 8)])
def test_well_mixed_batches_and_a_few_are_not_warned_of(
    subjects: int, patches: int, max_length: int
) -> None:
    plan = plan_epoch([patches] * subjects, 0, PlanOptions(seed=0, max_length=max_length))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not warn_if_few_subjects(plan, 8, {"max_length": max_length})
