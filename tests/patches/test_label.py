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
    NoLabelMapError,
    ProbabilityError,
    UnknownImageError,
)
from voxloom.io import Array
from voxloom.patches import LabelSampler
from voxloom.subjects import LabelMap, ScalarImage, Subject

SHAPE = (9, 8, 10)


def subject_of(labels: Array) -> Subject:
    return Subject(
        t1=ScalarImage(tensor=np.zeros((1, *labels.shape[1:]), dtype=np.uint8)),
        seg=LabelMap(tensor=labels),
        subject_id="s1",
    )


def four_labels(dtype: Any = np.uint8) -> Array:
    rng = np.random.default_rng(0)
    return rng.choice([0, 1, 2, 3], (1, *SHAPE), p=[0.6, 0.3, 0.07, 0.03]).astype(dtype)


def check_frequencies(sampler: LabelSampler, labels: Array, draws: int) -> None:
    """Compare the centres of many patches with the sampler's own map, voxel by voxel."""
    subject = subject_of(labels)
    draw = sampler.prepare(subject)
    rng = np.random.Generator(np.random.Philox(7))
    half = np.array(sampler.patch_size) // 2
    seen = Counter(tuple((np.array(draw(rng)) + half).tolist()) for _ in range(draws))
    expected = sampler.get_probability_map(subject)[0].double().numpy()
    drawable = np.argwhere(expected > 0)
    counts = [seen.pop(tuple(voxel), 0) for voxel in drawable.tolist()]
    assert not seen
    shares = expected[tuple(drawable.T)]
    assert chisquare(counts, shares * draws / shares.sum()).pvalue > 0.001


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, (1, 6, 3), (4, 5, 6)])
def test_voxels_of_a_label_are_equally_likely_and_labels_as_asked(size: Any) -> None:
    sampler = LabelSampler(size, "seg", {0: 0, 1: 2, 2: 1, 3: 1})
    check_frequencies(sampler, four_labels(), 12_000)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, (1, 6, 3)])
def test_without_probabilities_the_foreground_is_uniform(size: Any) -> None:
    labels = four_labels()
    sampler = LabelSampler(size)
    draw = sampler.prepare(subject_of(labels))
    rng = np.random.Generator(np.random.Philox(3))
    w, h, d = (n // 2 for n in sampler.patch_size)
    seen = Counter((i + w, j + h, k + d) for i, j, k in (draw(rng) for _ in range(12_000)))
    foreground = set(map(tuple, np.argwhere(labels[0] > 0).tolist()))
    drawable = {
        voxel
        for voxel in foreground
        if all(
            p // 2 <= n < length - (p - 1) // 2
            for n, p, length in zip(voxel, sampler.patch_size, SHAPE, strict=True)
        )
    }
    assert set(seen) <= drawable
    assert chisquare([seen[voxel] for voxel in sorted(drawable)]).pvalue > 0.001


def centre_labels(sampler: LabelSampler, subject: Subject, draws: int = 4000) -> Counter[int]:
    draw, labels = sampler.prepare(subject), subject["seg"].array[0]
    rng = np.random.Generator(np.random.Philox(11))
    w, h, d = (n // 2 for n in sampler.patch_size)
    places = (draw(rng) for _ in range(draws))
    return Counter(int(labels[i + w, j + h, k + d]) for i, j, k in places)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.float32])
def test_labels_come_as_often_as_asked_in_every_dtype(dtype: Any) -> None:
    sampler = LabelSampler(3, "seg", {0: 0, 1: 2, 2: 1, 3: 1})
    seen = centre_labels(sampler, subject_of(four_labels(dtype)))
    assert set(seen) == {1, 2, 3}
    assert chisquare([seen[n] for n in (1, 2, 3)], [2000, 1000, 1000]).pvalue > 0.001


@pytest.mark.parametrize("number", [np.float32, torch.tensor])
def test_shares_may_be_numbers_of_numpy_or_torch(number: Any) -> None:
    sampler = LabelSampler(3, "seg", {1: number(2.0), 2: number(0.5)})
    assert sampler.label_probabilities == {1: 2.0, 2: 0.5}


def test_negative_and_sparse_labels_are_labels() -> None:
    labels = four_labels(np.int16)
    labels[labels == 2] = 1000
    labels[labels == 3] = -5
    seen = centre_labels(LabelSampler(3, "seg", {1000: 1, -5: 1}), subject_of(labels))
    assert set(seen) == {1000, -5}
    assert chisquare([seen[1000], seen[-5]]).pvalue > 0.001


@given(
    shares=st.dictionaries(st.integers(0, 4), st.floats(0, 100), min_size=1).filter(
        lambda shares: any(shares.get(n, 0) > 0 for n in range(4))
    ),
    seed=st.integers(0, 2**32),
)
def test_the_centre_has_a_label_that_was_asked_for(shares: dict[int, float], seed: int) -> None:
    subject = subject_of(four_labels())
    for patch in LabelSampler((2, 3, 4), None, shares)(subject, 3, rng=seed):
        assert shares[int(patch["seg"].array[0, 1, 1, 2])] > 0


def test_the_share_of_an_absent_label_goes_to_the_others_in_proportion() -> None:
    sampler = LabelSampler(3, "seg", {1: 1, 2: 3, 77: 100})
    seen = centre_labels(sampler, subject_of(four_labels()))
    assert chisquare([seen[1], seen[2]], [1000, 3000]).pvalue > 0.001


@pytest.mark.parametrize("unit", [1e308, 5e-324])
def test_shares_may_be_given_in_any_unit(unit: float) -> None:
    sampler = LabelSampler(3, "seg", {1: unit, 2: unit, 3: 0})
    subject = subject_of(four_labels())
    seen = centre_labels(sampler, subject)
    assert chisquare([seen[1], seen[2]]).pvalue > 0.001
    assert float(sampler.get_probability_map(subject).sum()) == pytest.approx(1)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_label_that_no_voxel_can_have_counts_as_absent(dtype: Any) -> None:
    sampler = LabelSampler(3, "seg", {2**2000: 1, 1: 1})
    assert set(centre_labels(sampler, subject_of(four_labels(dtype)), 50)) == {1}


def test_a_label_that_lies_only_near_the_border_counts_as_absent() -> None:
    labels = np.ones((1, *SHAPE), dtype=np.uint8)
    labels[0, 0] = 2
    assert centre_labels(LabelSampler(3, "seg", {1: 1, 2: 9}), subject_of(labels)) == {1: 4000}


def test_the_order_in_which_probabilities_are_written_changes_nothing() -> None:
    subject = subject_of(four_labels())
    one, other = (
        [p["index_ini"].tolist() for p in LabelSampler(3, "seg", shares)(subject, 20, rng=0)]
        for shares in ({1: 1, 2: 2, 3: 3}, {3: 3, 1: 1, 2: 2})
    )
    assert one == other


def test_keys_are_channels_where_there_are_several() -> None:
    labels = np.stack([four_labels()[0] == n for n in range(4)]).astype(np.float32)
    check_frequencies(LabelSampler(3, "seg", {1: 2, 2: 1, 3: 1}), labels, 12_000)


def test_without_probabilities_all_channels_are_foreground() -> None:
    labels = np.zeros((2, *SHAPE), dtype=np.uint8)
    labels[1, 4, 4, 4] = 1
    assert next(LabelSampler(3)(subject_of(labels)))["index_ini"].tolist() == [3, 3, 3]


def test_a_channel_that_does_not_exist_is_named() -> None:
    message = "image 'seg' of subject 's1' has channels 0 to 1, there is no [2]"
    with pytest.raises(ProbabilityError, match=re.escape(message)):
        LabelSampler(3, "seg", {0: 1, 2: 1})(subject_of(np.ones((2, *SHAPE), dtype=np.uint8)))


def test_the_first_label_map_is_taken() -> None:
    subject = subject_of(four_labels()).replace(other=LabelMap(tensor=four_labels() * 0))
    assert LabelSampler(3).get_probability_map_image(subject) is subject["seg"]


@pytest.mark.parametrize("error", [NoLabelMapError, RuntimeError, KeyError])
def test_a_subject_without_label_map_says_what_it_has(error: type[Exception]) -> None:
    subject = subject_of(four_labels()).without("seg")
    with pytest.raises(error, match=r"subject 's1' has no label map, only \['t1'\]"):
        LabelSampler(3)(subject)


def test_an_unknown_label_map_names_those_that_exist() -> None:
    with pytest.raises(UnknownImageError, match=r"has no image 'gt'; it has \['t1', 'seg'\]"):
        LabelSampler(3, "gt")(subject_of(four_labels()))


def test_no_foreground_says_so() -> None:
    message = "no patch can be drawn from image 'seg' of subject 's1': it is zero everywhere"
    with pytest.raises(EmptyProbabilityMapError, match=re.escape(message)):
        LabelSampler(3)(subject_of(four_labels() * 0))


def test_no_label_that_was_asked_for_names_those_that_exist() -> None:
    message = (
        "has none of the labels that label_probabilities={7: 1.0, 8: 0.0} ask for; "
        "it has 0, 1, 2, 3"
    )
    with pytest.raises(EmptyProbabilityMapError, match=re.escape(message)):
        LabelSampler(3, "seg", {7: 1, 8: 0})(subject_of(four_labels()))


def test_labels_near_the_border_only_say_so() -> None:
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, 0] = 1
    labels[0, 4, 4, 4] = 2
    message = "all that has a label asked for lies near the border, where a patch of"
    with pytest.raises(EmptyProbabilityMapError, match=message):
        LabelSampler(3, "seg", {1: 1})(subject_of(labels))


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({1: -1}, "label_probabilities are 0 or more, and finite; label 1 has -1"),
        ({1: float("nan")}, "label 1 has nan"),
        ({1: float("inf")}, "label 1 has inf"),
        ({1: "2"}, "label 1 has '2'"),
        ({1: np.ones(1)}, "label 1 has array([1.])"),
        ({1: 0, 2: 0}, "at least one of label_probabilities is above 0, got {1: 0, 2: 0}"),
        ({}, "at least one of label_probabilities is above 0, got {}"),
        ({"a": 1}, "the keys of label_probabilities are integers, got 'a'"),
        ({1.5: 1}, "the keys of label_probabilities are integers, got 1.5"),
        ({True: 1}, "the keys of label_probabilities are integers, got True"),
        ([0, 1], "label_probabilities is a mapping of labels to numbers"),
    ],
)
def test_probabilities_that_are_none_are_refused_when_the_sampler_is_made(
    shares: Any, message: str
) -> None:
    with pytest.raises(ProbabilityError, match=re.escape(message)):
        LabelSampler(3, "seg", shares)


def test_the_probability_map_shows_shares_over_counts_of_valid_centres() -> None:
    labels = np.zeros((1, *SHAPE), dtype=np.uint8)
    labels[0, 4, 4, 4:8] = 1
    labels[0, 5, 5, 5] = 2
    labels[0, 0, 0, 0] = 2
    shown = LabelSampler(3, "seg", {1: 1, 2: 3}).get_probability_map(subject_of(labels))
    expected = torch.zeros(1, *SHAPE)
    expected[0, 4, 4, 4:8] = 0.25 / 4
    expected[0, 5, 5, 5] = 0.75
    assert torch.equal(shown, expected)


def test_the_probability_map_without_probabilities_is_the_foreground() -> None:
    labels = four_labels()
    shown = LabelSampler(3).get_probability_map(subject_of(labels))
    assert torch.equal(shown, torch.from_numpy(labels > 0).float())


@pytest.mark.parametrize("kind", [np.float64, np.float32, np.uint8, float, torch.tensor])
def test_keys_may_be_labels_as_they_were_found_in_a_map(kind: Any) -> None:
    sampler = LabelSampler(3, "seg", {kind(2): 1, kind(0): 3})
    assert sampler.label_probabilities == {0: 3.0, 2: 1.0}
    assert all(type(label) is int for label in sampler.label_probabilities)


def test_given_probabilities_are_copied() -> None:
    given_shares: dict[int, float] = {1: 1}
    sampler = LabelSampler(3, "seg", given_shares)
    given_shares[2] = 5
    assert sampler.label_probabilities == {1: 1.0}


def test_the_map_leaves_out_what_absent_labels_would_have() -> None:
    labels = np.array([0, 0, 1, 1, 2, 1, 0], dtype=np.int16).reshape(1, 1, 1, -1)
    subject = Subject(seg=LabelMap(tensor=labels))
    sampler = LabelSampler((1, 1, 5), label_probabilities={0: 0, 1: 50, 2: 25, 3: 25})
    shares = sampler.get_probability_map(subject).flatten().tolist()
    assert shares == [0, 0, 1 / 4, 1 / 4, 1 / 4, 0, 0]
