import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from voxloom._errors import (
    EmptyProbabilityMapError,
    ProbabilityError,
    SamplerError,
    UnknownImageError,
)
from voxloom.io import Array
from voxloom.patches import WeightedSampler
from voxloom.patches._valid import valid_centres
from voxloom.subjects import SAMPLING_MAP, Image, ScalarImage, Subject

SHAPE = (9, 8, 10)


def subject_of(weights: Array) -> Subject:
    return Subject(
        t1=ScalarImage(tensor=np.zeros((1, *weights.shape[1:]), dtype=np.uint8)),
        weights=Image(tensor=weights, type=SAMPLING_MAP),
        subject_id="s1",
    )


def check_frequencies(sampler: WeightedSampler, weights: Array, draws: int) -> None:
    """Compare the centres of many patches with the map, voxel by voxel."""
    subject = subject_of(weights)
    draw = sampler.prepare(subject)
    rng = np.random.Generator(np.random.Philox(7))
    half = np.array(sampler.patch_size) // 2
    seen = Counter(tuple((np.array(draw(rng)) + half).tolist()) for _ in range(draws))
    valid = np.zeros(weights.shape[1:])
    valid[valid_centres(subject.spatial_shape, sampler.patch_size).slices] = 1
    expected = weights.sum(axis=0) * valid
    drawable = np.argwhere(expected > 0)
    counts = [seen.pop(tuple(voxel), 0) for voxel in drawable.tolist()]
    assert not seen
    shares = expected[tuple(drawable.T)] / expected.sum()
    assert chisquare(counts, shares * draws).pvalue > 0.001


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, (1, 6, 3), (9, 2, 1), (4, 5, 6)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_centres_come_in_proportion_to_the_map(size: Any, order: Any) -> None:
    weights = np.random.default_rng(0).integers(0, 4, (1, *SHAPE)).astype(np.float32, order=order)
    check_frequencies(WeightedSampler(size, "weights"), weights, 12_000)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float16, np.float64])
def test_channels_add_up_in_every_dtype(dtype: Any) -> None:
    weights = np.random.default_rng(1).integers(0, 3, (3, *SHAPE)).astype(dtype)
    check_frequencies(WeightedSampler((2, 3, 4), "weights"), weights, 12_000)


def test_maps_of_many_blocks_are_drawn_in_proportion() -> None:
    rng = np.random.default_rng(2)
    weights = np.zeros((1, 40, 33, 50))
    for place in rng.integers(0, (40, 33, 50), (60, 3)):
        weights[(0, *place)] = rng.integers(1, 9)
    check_frequencies(WeightedSampler((3, 4, 9), "weights"), weights, 6_000)


def test_weight_that_lies_mostly_outside_the_valid_centres_changes_nothing() -> None:
    weights = np.random.default_rng(3).random((1, *SHAPE))
    weights[0, 0] = weights[0, :, :, -1] = 1e9
    check_frequencies(WeightedSampler(3, "weights"), weights, 12_000)


def test_0_1_5_mean_never_once_five_times() -> None:
    weights = np.zeros((1, *SHAPE), dtype=np.float32)
    weights[0, 4, 4, 4:6] = (1, 5)
    draw = WeightedSampler(3, "weights").prepare(subject_of(weights))
    rng = np.random.Generator(np.random.Philox(0))
    seen = Counter(draw(rng) for _ in range(6000))
    assert set(seen) == {(3, 3, 3), (3, 3, 4)}
    assert 850 < seen[3, 3, 3] < 1150


@given(seed=st.integers(0, 2**32), size=st.tuples(*[st.integers(1, 6)] * 3))
def test_patches_lie_inside_and_their_centre_has_weight(
    seed: int, size: tuple[int, int, int]
) -> None:
    weights = np.random.default_rng(seed).random((1, *SHAPE)) ** 8
    weights[weights < 0.3] = 0
    weights[0, 4, 4, 5] = 1
    subject = subject_of(weights)
    for patch in WeightedSampler(size, "weights")(subject, 3, rng=seed):
        w, h, d = (n // 2 for n in size)
        assert patch["weights"].array[0, w, h, d] > 0
        assert patch.spatial_shape == size


def test_a_map_that_a_transform_replaced_is_the_one_in_use() -> None:
    weights = np.zeros((1, *SHAPE))
    weights[0, 4, 4, 4] = 1
    moved = np.roll(weights, 1, axis=1)
    subject = subject_of(weights)
    changed = subject.replace(weights=subject["weights"].with_data(moved))
    assert next(WeightedSampler(3, "weights")(changed))["index_ini"].tolist() == [4, 3, 3]


@pytest.mark.parametrize("error", [EmptyProbabilityMapError, RuntimeError])
def test_a_map_of_zeros_says_so(error: type[Exception]) -> None:
    message = "no patch can be drawn from image 'weights' of subject 's1': it is zero everywhere"
    with pytest.raises(error, match=re.escape(message)):
        WeightedSampler(3, "weights")(subject_of(np.zeros((1, *SHAPE))))


def test_weight_near_the_border_only_says_so() -> None:
    weights = np.zeros((1, *SHAPE))
    weights[0, 0] = 1
    message = (
        "no patch can be drawn from image 'weights' of subject 's1': all that is above zero lies "
        "near the border, where a patch of size (3, 3, 3) would overhang; choose a smaller"
    )
    with pytest.raises(EmptyProbabilityMapError, match=re.escape(message)):
        WeightedSampler(3, "weights")(subject_of(weights))


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_weights_that_are_none_name_subject_and_image(value: float) -> None:
    weights = np.ones((1, *SHAPE))
    weights[0, 0, 7, 9] = value
    message = f"image 'weights' of subject 's1' holds {value}"
    with pytest.raises(ProbabilityError, match=re.escape(message)):
        WeightedSampler(3, "weights")(subject_of(weights))


def test_an_unknown_map_names_those_that_exist() -> None:
    message = "subject 's1' has no image 'map'; it has ['t1', 'weights']"
    with pytest.raises(UnknownImageError, match=re.escape(message)):
        WeightedSampler(3, "map")(subject_of(np.ones((1, *SHAPE))))


def test_the_name_of_the_map_is_text() -> None:
    with pytest.raises(SamplerError, match=r"probability_map is the name of an image.*got None"):
        WeightedSampler(3, None)  # type: ignore[arg-type]


def test_the_probability_map_is_the_sum_of_channels() -> None:
    weights = np.random.default_rng(0).random((2, *SHAPE))
    shown = WeightedSampler(3, "weights").get_probability_map(subject_of(weights))
    assert torch.equal(shown, torch.from_numpy(weights.sum(axis=0)[None]))


def test_channels_whose_sum_their_dtype_cannot_hold_are_shown() -> None:
    weights = np.full((3, *SHAPE), 60000, np.float16)
    shown = WeightedSampler(3, "weights").get_probability_map(subject_of(weights))
    assert (shown == 3 * float(np.float16(60000))).all()


@pytest.mark.parametrize("value", [-1.0, np.nan])
def test_a_map_that_cannot_be_drawn_from_is_not_shown_either(value: float) -> None:
    weights = np.ones((1, *SHAPE))
    weights[0, 0, 7, 9] = value
    with pytest.raises(ProbabilityError, match=f"image 'weights' of subject 's1' holds {value}"):
        WeightedSampler(3, "weights").get_probability_map(subject_of(weights))


def test_a_sampler_shows_its_arguments() -> None:
    assert repr(WeightedSampler(3, "weights")) == (
        "WeightedSampler(patch_size=(3, 3, 3), padding_mode=None, probability_map='weights')"
    )
