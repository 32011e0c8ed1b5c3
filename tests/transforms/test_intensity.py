"""Intensities, held against SciPy and SimpleITK."""

import numpy as np
import pytest
import scipy.stats
import SimpleITK

from voxloom import LabelMap, ScalarImage, Subject
from voxloom._errors import TransformError, UnknownImageError
from voxloom.transforms import rescale_percentiles, window, z_score


@pytest.fixture
def subject() -> Subject:
    rng = np.random.default_rng(0)
    voxels = np.asfortranarray(rng.normal(40, 300, (2, 9, 8, 7)))
    return Subject(
        ct=ScalarImage(tensor=voxels.astype(np.int16)),
        t1=ScalarImage(tensor=voxels[1:].astype(np.float32)),
        brain=LabelMap(tensor=rng.integers(0, 3, (1, 9, 8, 7)).astype(np.uint8)),
        age=42,
    )


def test_z_scores_are_those_of_scipy_for_each_channel(subject: Subject) -> None:
    changed = z_score(subject)
    for name in ("ct", "t1"):
        for channel, before in zip(changed[name].array, subject[name].array, strict=True):
            np.testing.assert_allclose(channel, scipy.stats.zscore(before, axis=None), atol=1e-5)
        assert changed[name].dtype == np.float32
    assert changed.brain is subject.brain
    assert subject.ct.dtype == np.int16


@pytest.mark.parametrize("mask", ["brain", lambda channel: channel > 40], ids=["image", "callable"])
def test_the_mean_is_that_of_the_mask(subject: Subject, mask: object) -> None:
    changed = z_score(subject, mask=mask, images=["ct"])  # type: ignore[arg-type]
    for channel, before in zip(changed.ct.array, subject.ct.array, strict=True):
        inside = subject.brain.array[0] > 0 if mask == "brain" else before > 40
        expected = scipy.stats.zmap(before, before[inside], axis=None)
        np.testing.assert_allclose(channel, expected, atol=1e-5)
    assert changed.t1 is subject.t1


def test_percentiles_become_the_ends(subject: Subject) -> None:
    changed = rescale_percentiles(subject, (5, 90), to=(-1, 3))
    for channel, before in zip(changed.ct.array, subject.ct.array, strict=True):
        low, high = (scipy.stats.scoreatpercentile(before.ravel(), q) for q in (5, 90))
        expected = -1 + 4 * (np.clip(before, low, high) - low) / (high - low)
        np.testing.assert_allclose(channel, expected, atol=1e-5)


def test_percentiles_may_be_those_of_a_mask(subject: Subject) -> None:
    changed = rescale_percentiles(subject, (0, 100), mask="brain", images=["t1"])
    inside = subject.brain.array[0] > 0
    assert (changed.t1.array[0][inside].min(), changed.t1.array[0][inside].max()) == (0, 1)


def test_a_window_is_that_of_simpleitk(subject: Subject) -> None:
    changed = window(subject, 40, 400, to=(-1, 1), images=["ct"])
    for channel, before in zip(changed.ct.array, subject.ct.array, strict=True):
        image = SimpleITK.GetImageFromArray(before.astype(np.float32))
        expected = SimpleITK.GetArrayFromImage(
            SimpleITK.IntensityWindowing(image, -160, 240, -1, 1)
        )
        np.testing.assert_allclose(channel, expected, atol=1e-5)


def test_a_window_may_be_turned_over(subject: Subject) -> None:
    upright, turned = window(subject, 40, 400), window(subject, 40, 400, to=(1, 0))
    np.testing.assert_allclose(turned.ct.array, 1 - upright.ct.array, atol=1e-6)


def test_the_order_of_the_memory_stays(subject: Subject) -> None:
    assert z_score(subject).ct.array.flags.f_contiguous


def test_a_flat_image_is_named() -> None:
    flat = Subject(t1=ScalarImage(tensor=np.ones((1, 2, 2, 2))), name="P7")
    for transform in (z_score, rescale_percentiles):
        with pytest.raises(TransformError, match="image 't1' of subject 'P7' cannot be told apart"):
            transform(flat)


def test_a_mask_that_cannot_be_used_is_named(subject: Subject) -> None:
    empty = subject.replace(brain=subject.brain.with_data(subject.brain.data * 0))
    with pytest.raises(TransformError, match=r"no voxel of image 'ct'.*in the mask 'brain'"):
        z_score(empty, mask="brain")
    with pytest.raises(TransformError, match=r"has shape \(8, 7\), the image \(9, 8, 7\)"):
        z_score(subject, mask=lambda channel: channel[0] > 0)
    with pytest.raises(UnknownImageError, match="has no image 'lung'"):
        z_score(subject, mask="lung")


def test_settings_that_make_no_scale_are_refused(subject: Subject) -> None:
    with pytest.raises(TransformError, match=r"percentiles rise, from 0 to 100; got \(9, 9\)"):
        rescale_percentiles(subject, (9, 9))
    with pytest.raises(TransformError, match="the width of a window is positive, got 0"):
        window(subject, 40, 0)
