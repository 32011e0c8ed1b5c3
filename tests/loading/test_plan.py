"""The laws of a plan: exact, bounded, never stuck, and decided by the seed alone."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.loading import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._plan import Share, renumber

GOLDEN = Path(__file__).parents[1] / "golden" / "plans.json"
MODES = {
    "spread": {},
    "fill": {"schedule": "fill"},
    "shuffle": {"schedule": "shuffle"},
    "in order": {"shuffle_patches": False},
    "nothing shuffled": {"shuffle_patches": False, "shuffle_subjects": False},
}

counts_of_subjects = st.lists(st.integers(0, 9), min_size=1, max_size=12).filter(any)


def options(mode: str, max_length: int, seed: int = 0) -> PlanOptions:
    return PlanOptions(seed, max_length, **MODES[mode])


def assert_exact(plan: EpochPlan, counts: list[int]) -> None:
    pairs = sorted(zip(plan.subjects.tolist(), plan.patches.tolist(), strict=True))
    assert pairs == [(i, j) for i, count in enumerate(counts) for j in range(count)]


def assert_never_stuck(plan: EpochPlan, slots: int) -> None:
    """Give slots to jobs in order of their first patch, as the dispatcher does."""
    due_order = np.argsort(plan.residencies, kind="stable")
    rank_of_grant = np.empty(len(plan), dtype=np.int64)
    rank_of_grant[due_order] = np.arange(len(plan))
    # Before place p leaves, p slots came back: so many grants were made, whatever the timing.
    assert (rank_of_grant < slots + np.arange(len(plan))).all()


@pytest.mark.parametrize("mode", MODES)
def test_every_small_plan_is_exact_bounded_and_never_stuck(mode: str) -> None:
    for epoch, sizes in enumerate(product(range(1, 7), range(1, 9), range(1, 41))):
        n, samples, max_length = sizes
        plan = plan_epoch([samples] * n, epoch, options(mode, max_length))
        flat = plan.subjects * samples + plan.patches
        assert (np.sort(flat) == np.arange(n * samples)).all()
        assert plan.peak() <= max_length
        assert_never_stuck(plan, max_length)


@given(counts_of_subjects, st.integers(1, 40), st.integers(0, 5), st.sampled_from(sorted(MODES)))
def test_uneven_counts_are_exact_bounded_and_never_stuck(
    counts: list[int], max_length: int, epoch: int, mode: str
) -> None:
    plan = plan_epoch(counts, epoch, options(mode, max_length))
    assert_exact(plan, counts)
    assert plan.peak() <= max_length
    assert_never_stuck(plan, max_length)


@given(
    counts_of_subjects, st.integers(1, 40), st.integers(0, 2**63), st.sampled_from(sorted(MODES))
)
def test_a_plan_goes_on_from_any_place_within_its_bound(
    counts: list[int], max_length: int, seed: int, mode: str
) -> None:
    plan = plan_epoch(counts, 1, options(mode, max_length, seed))
    for place in range(len(plan)):
        rest = EpochPlan(
            1, plan.subjects[place:], plan.patches[place:], renumber(plan.residencies[place:])
        )
        assert rest.peak() <= max_length
        assert_never_stuck(rest, max_length)


@given(counts_of_subjects, st.integers(1, 40), st.integers(0, 2**63), st.integers(0, 2**31))
def test_the_same_key_gives_the_same_plan(
    counts: list[int], max_length: int, seed: int, epoch: int
) -> None:
    one, other = (plan_epoch(counts, epoch, PlanOptions(seed, max_length)) for _ in range(2))
    assert (one.subjects == other.subjects).all()
    assert (one.patches == other.patches).all()
    assert (one.residencies == other.residencies).all()


@given(counts_of_subjects, st.integers(1, 40), st.sampled_from(sorted(MODES)))
def test_a_residency_is_one_subject_and_numbers_rise_as_they_are_due(
    counts: list[int], max_length: int, mode: str
) -> None:
    plan = plan_epoch(counts, 0, options(mode, max_length))
    numbers, first = np.unique(plan.residencies, return_index=True)
    assert (numbers == np.arange(len(numbers))).all()
    assert (np.diff(first) > 0).all()
    for number in numbers:
        assert len(set(plan.subjects[plan.residencies == number].tolist())) == 1


def test_a_subject_that_is_visited_again_gives_patches_of_its_own() -> None:
    for mode in MODES:
        plan = plan_epoch([2, 3], 0, options(mode, max_length=4), visits=[1, 0, 1, 1])
        assert_exact(plan, [2, 9])


def test_where_a_lane_comes_back_to_its_first_subject_it_is_opened_again() -> None:
    # seven patches in two lanes of four: the second ends with the first patch of the epoch
    chosen = options("nothing shuffled", max_length=8)
    plan = plan_epoch([5, 1, 1], 0, chosen, share=Share(1, 2, 2))
    assert plan.subjects.tolist() == [0, 1, 2, 0]
    assert plan.patches.tolist() == [4, 0, 0, 0]
    assert plan.residencies.tolist() == [0, 1, 2, 3]
    assert plan.peak() == 1


@pytest.mark.parametrize("mode", ["spread", "fill", "shuffle", "in order"])
def test_epochs_and_seeds_have_orders_of_their_own(mode: str) -> None:
    plans = {
        (seed, epoch): plan_epoch([4] * 30, epoch, options(mode, 40, seed)).subjects.tolist()
        for seed, epoch in product(range(4), range(4))
    }
    assert len({tuple(order) for order in plans.values()}) == len(plans)
    assert plans[0, 1] != plans[1, 0]


def test_without_any_shuffling_subjects_come_as_they_were_given() -> None:
    plan = plan_epoch([2, 0, 3], 5, options("nothing shuffled", 2))
    assert plan.subjects.tolist() == [0, 0, 2, 2, 2]
    assert plan.patches.tolist() == [0, 1, 0, 1, 2]


@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_batches_are_as_mixed_as_the_bound_allows(epoch: int) -> None:
    plan = plan_epoch([16] * 300, epoch, PlanOptions(0, 256))
    distinct = [len(set(batch)) for batch in plan.subjects.reshape(-1, 8).tolist()]
    assert np.mean(distinct) >= 7.9


def test_once_its_window_is_open_spread_loads_more_evenly_than_fill() -> None:
    spread, fill = (plan_epoch([16] * 300, 1, options(mode, 256)) for mode in ("spread", "fill"))

    def longest_burst(plan: EpochPlan) -> int:
        first = np.unique(plan.residencies, return_index=True)[1]
        return int(np.bincount(first // 32)[16:].max())

    assert longest_burst(spread) <= 4 < longest_burst(fill)


@pytest.mark.parametrize("max_length", [64, 384, 768])
def test_a_run_never_asks_for_loads_much_faster_than_patches_leave(max_length: int) -> None:
    plans = [plan_epoch([8] * 96, epoch, PlanOptions(0, max_length)) for epoch in range(4)]
    volumes = np.concatenate([plan.residencies + 96 * plan.epoch for plan in plans])
    needed = np.maximum.accumulate(volumes) + 1
    assert (needed - 1.25 * np.arange(len(volumes)) / 8).max() < 3  # a trainer of 1.3 never waits


@given(counts_of_subjects, st.integers(1, 40), st.integers(0, 3))
def test_a_shuffle_makes_each_patch_by_itself_and_holds_one_at_a_time(
    counts: list[int], max_length: int, epoch: int
) -> None:
    plan = plan_epoch(counts, epoch, options("shuffle", max_length))
    assert plan.residencies.tolist() == list(range(sum(counts)))
    assert plan.peak() == 1


def test_every_place_of_a_shuffled_epoch_is_as_likely_for_every_patch() -> None:
    places = np.zeros((6, 6))
    for seed in range(1200):
        plan = plan_epoch([2, 1, 3], seed % 5, PlanOptions(seed, 2, schedule="shuffle"))
        patch = np.array([0, 2, 3])[plan.subjects] + plan.patches
        places[np.arange(6), patch] += 1
    # 25 degrees of freedom: the 99.9 % quantile of chi-square is 52.6
    assert ((places - 200) ** 2 / 200).sum() < 52.6


@given(
    counts_of_subjects,
    st.integers(0, 2**63),
    st.sampled_from([(1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (6, 3)]),
    st.sampled_from(sorted(MODES)),
)
def test_ranks_share_one_global_order_in_steps_of_one_number(
    counts: list[int], seed: int, split: tuple[int, int], mode: str
) -> None:
    lanes, world = split
    order = options(mode, 8, seed)
    alone = plan_epoch(counts, 2, order, share=Share(0, 1, lanes))
    ranks = [plan_epoch(counts, 2, order, share=Share(r, world, lanes)) for r in range(world)]
    assert len({len(rank) for rank in ranks}) == 1
    assert max(rank.peak() for rank in ranks) <= 8
    rows = [rank.subjects.reshape(-1, lanes // world) for rank in ranks]
    together = np.stack(rows, axis=-1).reshape(-1)  # lanes are dealt out to ranks in turn
    assert together.tolist() == alone.subjects.tolist()
    pairs = list(zip(alone.subjects.tolist(), alone.patches.tolist(), strict=True))
    assert set(pairs) == {(i, j) for i, count in enumerate(counts) for j in range(count)}
    assert len(pairs) - sum(counts) < lanes


def test_a_shuffled_batch_is_mixed_like_one_of_a_global_shuffle() -> None:
    plan = plan_epoch([16] * 300, 0, PlanOptions(0, 8, schedule="shuffle"))
    distinct = [len(set(batch)) for batch in plan.subjects.reshape(-1, 8).tolist()]
    assert 7.85 < np.mean(distinct) < 7.97  # 7.91 expected


def test_orders_that_were_promised_stay() -> None:
    for promise in json.loads(GOLDEN.read_text(encoding="utf-8")):
        plan = plan_epoch(promise["counts"], promise["epoch"], PlanOptions(**promise["options"]))
        assert plan.subjects.tolist() == promise["subjects"], promise["options"]
        assert plan.patches.tolist() == promise["patches"], promise["options"]
