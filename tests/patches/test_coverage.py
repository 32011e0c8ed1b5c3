"""Coverage sums windows exactly, whichever places were added, however often."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom.patches._coverage import Coverage
from voxloom.patches._grid import Grid
from voxloom.patches._window import WINDOWS

GRID = Grid.over((9, 8, 7), (4, 5, 3), (2, 4, 0))
EVERYWHERE = (slice(0, 9), slice(0, 8), slice(0, 7))


def summed(coverage):
    total = np.zeros((9, 8, 7))
    for place in np.ndindex(*coverage.counts.shape):
        window = coverage.window()[coverage.origin(place)]
        total[coverage.target(place)] += coverage.counts[place] * window
    return total


@settings(deadline=None)
@given(st.sampled_from(sorted(WINDOWS)), st.integers(0, 2**32 - 1))
def test_weights_are_the_sum_of_the_windows_that_were_added(mode, seed):
    coverage = Coverage(GRID, mode)
    chosen = np.random.default_rng(seed).integers(0, 3, size=GRID.counts)
    for place, times in np.ndenumerate(chosen):
        for _ in range(times):
            coverage.add(place)
    assert np.allclose(coverage.weights_in(EVERYWHERE), summed(coverage), rtol=1e-12)
    assert np.array_equal(coverage.weights_in(EVERYWHERE) == 0, summed(coverage) == 0)


@pytest.mark.parametrize("mode", WINDOWS)
def test_a_box_has_the_weights_of_its_part_of_the_volume(mode):
    coverage = Coverage(GRID, mode)
    for place in np.ndindex(*GRID.counts):
        coverage.add(place)
    box = (slice(2, 5), slice(0, 8), slice(6, 7))
    assert np.allclose(coverage.weights_in(box), summed(coverage)[box])


def test_it_is_complete_when_every_place_was_added():
    coverage = Coverage(GRID, "crop")
    for place in np.ndindex(*GRID.counts):
        assert not coverage.is_complete
        coverage.add(place)
    assert coverage.is_complete
