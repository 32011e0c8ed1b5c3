"""Windows are positive, symmetric, and lie where their patches lie."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import AggregatorError
from voxloom.patches._grid import Grid
from voxloom.patches._window import WINDOWS, gaussian_window, hann_window, place_windows


@pytest.mark.parametrize("mode", WINDOWS)
@pytest.mark.parametrize("size", [1, 2, 3, 64, 513])
def test_windows_are_positive_symmetric_and_largest_in_the_middle(mode, size):
    window = WINDOWS[mode](size)
    assert window.shape == (size,)
    assert (window > 0).all()
    assert np.allclose(window, window[::-1])
    assert window.max() == pytest.approx(window[size // 2])


@pytest.mark.parametrize("size", [1, 4, 9])
def test_the_hann_window_is_that_of_torch_without_its_zeros(size):
    expected = torch.hann_window(size + 2, periodic=False, dtype=torch.float64)[1:-1]
    assert np.allclose(hann_window(size), expected.numpy())


def test_the_gaussian_has_a_standard_deviation_of_an_eighth_of_the_patch():
    window = gaussian_window(81)
    one_deviation = 81 / 8
    at = np.interp(40 + one_deviation, np.arange(81), window)
    assert at == pytest.approx(np.exp(-0.5), rel=1e-3)


@given(st.integers(1, 8), st.integers(0, 3), st.integers(0, 20), st.integers(1, 4), st.booleans())
def test_crop_intervals_are_a_partition_that_lies_inside_the_patches(
    patch, half, extra, factor, padded
):
    patch *= factor
    overlap = min(2 * half, 2 * ((patch - 1) // 2))
    length = patch + extra
    grid = Grid.over((length, 1, 1), (patch, 1, 1), (overlap, 0, 0), padded=padded)
    windows = place_windows(
        grid.positions(0), patch, overlap, grid.border[0], length, mode="crop", factor=factor
    )
    assert (windows.weights.sum(axis=0) == 1).all()
    assert windows.weights.shape == (len(grid.positions(0)), length // factor)
    assert windows.start[0] == 0
    assert windows.stop[-1] == length // factor
    assert (windows.start[1:] == windows.stop[:-1]).all()
    assert (windows.start >= windows.first).all()
    assert (windows.stop <= windows.first + patch // factor).all()


@pytest.mark.parametrize("mode", ["average", "hann", "gaussian"])
def test_other_windows_lie_over_their_whole_patch(mode):
    windows = place_windows(np.array([0, 3, 5]), 5, 2, 0, 10, mode=mode)
    assert windows.target(1) == slice(3, 8)
    assert windows.origin(1) == slice(0, 5)
    assert windows.weights[1].tolist() == [0, 0, 0, *WINDOWS[mode](5), 0, 0]


def test_the_part_of_a_patch_in_the_padding_is_left_out():
    windows = place_windows(np.array([0, 4]), 6, 2, 1, 8, mode="average")
    assert (windows.origin(0), windows.target(0)) == (slice(1, 6), slice(0, 5))
    assert (windows.origin(1), windows.target(1)) == (slice(0, 5), slice(3, 8))


def test_an_unknown_mode_raises_and_names_the_four():
    with pytest.raises(AggregatorError, match=r"crop.*average.*hann.*gaussian.*'mean'"):
        place_windows(np.array([0]), 5, 2, 0, 5, mode="mean")
