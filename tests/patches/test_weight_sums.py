import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import ProbabilityError
from voxloom.patches import _weight_sums
from voxloom.patches._mass import Weights
from voxloom.patches._weight_sums import sum_weights

BLOCK = 8


@given(
    shape=st.tuples(*[st.integers(1, 30)] * 3),
    channels=st.sampled_from([1, 2, 33]),
    dtype=st.sampled_from(["bool", "uint8", "int16", "uint16", "int64", "float32", "float64"]),
    piece_bytes=st.sampled_from([1, 2**12, 2**20]),
    seed=st.integers(0, 99),
)
def test_sums_are_those_of_a_dense_reference(
    shape: tuple[int, int, int], channels: int, dtype: str, piece_bytes: int, seed: int
) -> None:
    # whole numbers up to the largest of 15 bits: float64 adds them without rounding
    values = np.random.default_rng(seed).integers(0, 2**15, (channels, *shape))
    array = (values % 256 if dtype == "uint8" else values).astype(dtype)
    expected = array.sum(axis=0, dtype=np.float64)
    for axis in range(3):
        places = range(0, expected.shape[axis], BLOCK)
        expected = np.add.reduceat(expected, places, axis=axis)
    sums = np.full(expected.shape, np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_weight_sums, "_PIECE_BYTES", piece_bytes)  # the seams between pieces too
        sum_weights(Weights(), array, sums, BLOCK)
    np.testing.assert_array_equal(sums, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_the_largest_small_integers_do_not_wrap(dtype: str) -> None:
    array = np.full((32, 8, 8, 8), np.iinfo(dtype).max, dtype)
    sums = np.zeros((1, 1, 1))
    sum_weights(Weights(), array, sums, BLOCK)
    assert sums[0, 0, 0] == array.size * np.iinfo(dtype).max


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "float64"])
def test_a_negative_weight_in_any_channel_is_refused(dtype: str) -> None:
    array = np.ones((2, 9, 9, 9), dtype)
    array[1, 8, 8, 8] = -1
    with pytest.raises(ProbabilityError, match=r"weights are 0 or more, and finite; .* holds -1"):
        sum_weights(Weights(), array, np.zeros((2, 2, 2)), BLOCK)
