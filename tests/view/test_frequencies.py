import numpy as np
import pytest

from voxloom.geometry import Space
from voxloom.view._canonical import AXIAL, Canonical
from voxloom.view._frequencies import Frequencies, _project

SHAPE = (12, 10, 8)
SPACE = Space(SHAPE, np.diag([-1.0, 1.0, 4.0, 1.0]))
CANONICAL = Canonical.of(SPACE)


def locations_around(centres: np.ndarray) -> np.ndarray:
    return np.concatenate([centres - 1, centres + 2], axis=1)


def test_each_centre_is_counted_where_it_is_after_turning() -> None:
    frequencies = Frequencies.of(CANONICAL, locations_around(np.array([[2, 3, 4]])), None)
    assert np.argwhere(frequencies.drawn).tolist() == [[9, 3, 4]]
    assert frequencies.expected is None
    assert frequencies.fit() is None


def test_blocks_are_about_square_in_mm_and_lose_no_centre() -> None:
    counts = np.arange(np.prod(SHAPE), dtype=float).reshape(SHAPE)
    seen = _project(counts, CANONICAL, AXIAL)
    assert seen.sum() == counts.sum()
    assert seen.shape == (5, 6)  # 32 mm in 16 blocks: 2 mm, two voxels


@pytest.mark.parametrize("follows", [True, False])
def test_the_fit_is_about_one_only_if_centres_follow_the_map(follows: bool) -> None:
    rng = np.random.default_rng(0)
    chances = rng.random(SHAPE)
    chances[:6] *= 4
    chances /= chances.sum()
    drawn_from = chances if follows else np.full(SHAPE, 1 / np.prod(SHAPE))
    flat = rng.choice(chances.size, size=4000, p=drawn_from.ravel())
    centres = np.stack(np.unravel_index(flat, SHAPE), axis=1)
    fit = Frequencies.of(CANONICAL, locations_around(centres), chances).fit()
    assert fit is not None
    assert (0.5 < fit < 1.7) if follows else fit > 5


def test_where_too_little_is_expected_nothing_is_said_of_the_fit() -> None:
    chances = np.full(SHAPE, 1 / np.prod(SHAPE))
    few = locations_around(np.array([[2, 3, 4], [5, 5, 5]]))
    assert Frequencies.of(CANONICAL, few, chances).fit() is None
