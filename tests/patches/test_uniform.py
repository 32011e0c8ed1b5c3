from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from voxloom.patches import UniformSampler
from voxloom.subjects import ScalarImage, Subject

SHAPE = (8, 7, 6)
SUBJECT = Subject(t1=ScalarImage(tensor=np.zeros((1, *SHAPE), dtype=np.uint8)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, (1, 6, 3), (8, 7, 1), (2, 3, 6)])
def test_every_place_that_fits_is_equally_likely(size: Any) -> None:
    sampler = UniformSampler(size)
    draw = sampler.prepare(SUBJECT)
    rng = np.random.Generator(np.random.Philox(1))
    places = int(np.prod([n - p + 1 for n, p in zip(SHAPE, sampler.patch_size, strict=True)]))
    seen = Counter(draw(rng) for _ in range(20 * places))
    assert all(sampler.box_at(SHAPE, place).fits(SHAPE) for place in seen)
    counts = [*seen.values(), *[0] * (places - len(seen))]
    assert places == 1 or chisquare(counts).pvalue > 0.001


def test_all_of_a_large_volume_can_be_drawn() -> None:
    shape = (512, 512, 400)
    image = ScalarImage(tensor=np.broadcast_to(np.uint8(0), (1, *shape)))
    draw = UniformSampler(1).prepare(Subject(t1=image))
    rng = np.random.Generator(np.random.Philox(0))
    places = np.array([draw(rng) for _ in range(8000)])
    for axis, length in enumerate(shape):
        assert len(np.unique(places[:, axis])) == length


@pytest.mark.parametrize(
    ("size", "first"), [((10, 7, 6), (-1, 0, 0)), ((9, 7, 6), (-1, 0, 0)), (8, (0, -1, -1))]
)
def test_a_volume_that_is_too_small_is_padded_just_enough(size: Any, first: Any) -> None:
    patch = next(UniformSampler(size, padding_mode="reflect")(SUBJECT))
    assert tuple(patch["index_ini"].tolist()) == first
    assert patch.spatial_shape == UniformSampler(size).patch_size


def test_a_volume_that_is_large_enough_is_not_padded() -> None:
    sampler = UniformSampler(3, padding_mode="constant")
    draw, rng = sampler.prepare(SUBJECT), np.random.default_rng(0)
    assert all(sampler.box_at(SHAPE, draw(rng)).fits(SHAPE) for _ in range(300))


def test_the_probability_map_prefers_nothing() -> None:
    assert torch.equal(UniformSampler(3).get_probability_map(SUBJECT), torch.ones(1, *SHAPE))
