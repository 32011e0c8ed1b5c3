import itertools
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import ProbabilityError
from voxloom.geometry import Box
from voxloom.io import Array
from voxloom.patches import _block_index
from voxloom.patches._block_index import BLOCK, index_masses, memory_order, pick
from voxloom.patches._mass import ChannelVoxels, Foreground, LabelVoxels, Mass, Weights

words = st.integers(0, 2**64 - 1)
shapes = st.tuples(*[st.integers(1, 3 * BLOCK)] * 3)


def sums_by_hand(array: Array, mass: Mass) -> Array:
    masses = mass.of(array).astype(np.float64)
    for axis in range(3):
        masses = np.add.reduceat(masses, range(0, masses.shape[axis], BLOCK), axis=axis)
    return masses


@given(shape=shapes, seed=st.integers(0, 99), order=st.sampled_from("CF"))
def test_counts_of_blocks_are_exact(shape: tuple[int, int, int], seed: int, order: str) -> None:
    array = np.random.default_rng(seed).integers(-1, 4, (2, *shape)).astype(np.int16, order=order)
    masses = [LabelVoxels(-1), LabelVoxels(3), LabelVoxels(9), ChannelVoxels(1), Foreground()]
    for index in index_masses(array, masses):
        assert np.array_equal(index.sums, sums_by_hand(array, index.mass))
        assert index.total == np.count_nonzero(index.mass.of(array))


@given(shape=shapes, seed=st.integers(0, 99), order=st.sampled_from("CF"))
def test_sums_of_blocks_are_those_of_float64(
    shape: tuple[int, int, int], seed: int, order: str
) -> None:
    array = np.random.default_rng(seed).random((2, *shape)).astype(np.float32, order=order)
    (index,) = index_masses(array, [Weights()])
    assert index.sums.dtype == np.float64
    np.testing.assert_allclose(index.sums, sums_by_hand(array, Weights()), rtol=1e-14)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_an_index_is_the_same_in_every_memory_order(order: tuple[int, ...]) -> None:
    plain = np.random.default_rng(0).integers(0, 3, (2, 20, 9, 33)).astype(np.uint8)
    stored = plain.transpose(order).copy().transpose(np.argsort(order))
    masses = [Weights(), Foreground(), LabelVoxels(2)]
    pairs = zip(index_masses(plain, masses), index_masses(stored, masses), strict=True)
    assert all(np.array_equal(one.sums, other.sums) for one, other in pairs)


@pytest.mark.parametrize("shape", [(1, 9, 70), (17, 8, 33), (200, 12, 7)])
@pytest.mark.parametrize("threads", [2, 3, 64])
def test_threads_add_up_what_one_does(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], threads: int
) -> None:
    array = np.random.default_rng(0).random((2, *shape), dtype=np.float32)
    masses = [Weights(), Foreground()]
    monkeypatch.setattr(_block_index, "count_threads", lambda: 1)
    alone = index_masses(array, masses)
    monkeypatch.setattr(_block_index, "count_threads", lambda: threads)
    monkeypatch.setattr(_block_index, "_THREAD_WEIGHTS", 1)
    for one, other in zip(alone, index_masses(array, masses), strict=True):
        assert np.array_equal(one.sums, other.sums)
    array[0, -1, -1, -1] = np.nan
    with pytest.raises(ProbabilityError, match="weights are 0 or more, and finite"):
        index_masses(array, masses)


def test_slabs_cover_maps_that_are_wide_long_or_flat() -> None:
    for shape in ((1, 1, 70_000), (70_000, 1, 1), (3, 700, 40), (9, 40, 700)):
        array = np.ones((1, *shape), dtype=np.uint8)
        (count, weight) = index_masses(array, [Foreground(), Weights()])
        assert count.total == weight.total == array.size


def test_an_index_is_small_and_can_be_pickled() -> None:
    array = np.random.default_rng(0).integers(0, 4, (1, 96, 96, 96)).astype(np.uint8)
    indices = index_masses(array, [LabelVoxels(n) for n in range(4)])
    assert sum(index.sums.nbytes for index in indices) < 0.02 * array.nbytes
    copies = pickle.loads(pickle.dumps(indices))
    assert [copy.mass for copy in copies] == [index.mass for index in indices]
    assert [copy.total for copy in copies] == [index.total for index in indices]


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0, 0), (39, 39, 39), (20, 7, 8)])
def test_one_bad_weight_is_found_wherever_it_is(value: float, place: tuple[int, int, int]) -> None:
    array = np.ones((1, 40, 40, 40), dtype=np.float32)
    array[(0, *place)] = value
    message = f"image 'w' of subject 's1' holds {value}: "
    with pytest.raises(ProbabilityError, match=re.escape(message)):
        index_masses(array, [Weights("image 'w' of subject 's1'")])


def test_sums_that_would_overflow_are_scaled() -> None:
    array = np.full((1, 16, 16, 16), np.finfo(np.float64).max)
    (index,) = index_masses(array, [Weights()])
    assert np.isfinite(index.total)
    assert np.all(index.sums == index.sums[0, 0, 0])


def test_weights_near_the_largest_float32_do_not_overflow() -> None:
    array = np.full((1, 16, 16, 16), np.finfo(np.float32).max)
    (index,) = index_masses(array, [Weights()])
    assert index.total == array.size * float(np.finfo(np.float32).max)


def test_small_weights_beside_huge_ones_are_kept_as_float64_does() -> None:
    array = np.ones((1, 16, 16, 16), dtype=np.float32)
    array[0, 0, 0, 0] = 2.0**40
    (index,) = index_masses(array, [Weights()])
    assert index.total == 2.0**40 + array.size - 1


@given(steps=st.lists(st.integers(0, 5), min_size=1, max_size=9).filter(any), word=words)
def test_integer_picks_are_the_exact_quantile(steps: list[int], word: int) -> None:
    target = Fraction(word, 2**64) * sum(steps)
    expected = next(n for n in range(len(steps)) if sum(steps[: n + 1]) > target)
    assert pick(np.cumsum(steps), word) == expected


@given(
    steps=st.lists(
        st.sampled_from([0.0, 0.1, 1 / 3, 1e-300, 5e-324, 1e300, 7.0]), min_size=1, max_size=9
    ).filter(any),
    word=words | st.sampled_from([0, 1, 2**64 - 1, 2**64 - 2**10, 2**63]),
)
def test_a_place_without_weight_is_never_picked(steps: list[float], word: int) -> None:
    assert steps[pick(np.cumsum(steps), word)] > 0


def test_memory_order_of_a_transposed_array() -> None:
    array = np.zeros((1, 2, 3, 4)).transpose(0, 2, 3, 1)
    assert memory_order(array) == (2, 0, 1)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_index_within_a_box_is_the_whole_one_there_and_zero_elsewhere(order: str) -> None:
    labels = np.random.default_rng(0).integers(0, 3, (1, 30, 21, 41), dtype=np.uint8)
    array, box = np.array(labels, order=order), Box((9, 0, 15), (30, 9, 17))
    masses = [LabelVoxels(1), Foreground(), Weights()]
    pairs = zip(index_masses(array, masses), index_masses(array, masses, box), strict=True)
    for whole, part in pairs:
        expected = np.zeros_like(whole.sums)
        expected[1:, :2, 1:3] = whole.sums[1:, :2, 1:3]
        assert (part.sums == expected).all()
        assert part.sums.dtype == whole.sums.dtype
