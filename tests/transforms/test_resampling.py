"""Resampling, held against SimpleITK and nibabel."""

from typing import Any

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from nibabel.processing import resample_from_to

from voxloom import Image, LabelMap, ScalarImage, Subject
from voxloom._errors import TransformError, UnknownImageError
from voxloom.geometry import Space
from voxloom.transforms import resample

LPS = np.diag([-1.0, -1, 1, 1])


@pytest.fixture
def subject() -> Subject:
    rng = np.random.default_rng(0)
    affine = oblique((1.2, 0.9, 2.1), (4, -30, 11), 0.2)
    labels = rng.integers(0, 5, (1, 16, 20, 12)).astype(np.int16)
    return Subject(
        ct=ScalarImage(tensor=rng.normal(size=(2, 16, 20, 12)).astype(np.float32), affine=affine),
        seg=LabelMap(tensor=labels, affine=affine),
        age=42,
    )


def oblique(spacing: tuple[float, ...], origin: tuple[float, ...], angle: float) -> np.ndarray:
    affine, turn = np.eye(4), np.eye(3)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine[:3, :3] = turn @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


def as_sitk(array: np.ndarray, affine: np.ndarray) -> SimpleITK.Image:
    image = SimpleITK.GetImageFromArray(array.transpose())
    lps = LPS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    return image


def by_sitk(channel: int, image: Image, space: Space, kind: int, fill: float) -> np.ndarray:
    grid = as_sitk(np.zeros(space.spatial_shape, np.float32), space.affine)
    resampled = SimpleITK.Resample(
        as_sitk(image.array[channel], image.affine), grid, SimpleITK.Transform(), kind, fill
    )
    return SimpleITK.GetArrayFromImage(resampled).transpose()


SPACES = [
    Space((14, 22, 25), oblique((1.37, 0.83, 1.01), (3.3, -29.1, 10.2), 0.2)),
    Space((30, 30, 30), oblique((1.03, 1.07, 1.11), (-5.2, -35.3, 5.7), -0.3)),
]


@pytest.mark.parametrize("space", SPACES, ids=["straight", "turned"])
def test_it_is_what_simpleitk_gives(subject: Subject, space: Space) -> None:
    changed = resample(subject, space, fill=-7)
    for channel in range(2):
        expected = by_sitk(channel, subject.ct, space, SimpleITK.sitkLinear, -7)
        assert (expected == -7).any()
        assert (expected != -7).mean() > 0.2
        np.testing.assert_allclose(changed.ct.array[channel], expected, atol=2e-5)
    labels = by_sitk(0, subject.seg, space, SimpleITK.sitkNearestNeighbor, 0)
    np.testing.assert_array_equal(changed.seg.array[0], labels)
    assert changed.seg.dtype == np.int16
    np.testing.assert_array_equal(changed.ct.affine, space.affine)


@pytest.mark.parametrize("order", [1, 3])
def test_inside_the_volume_it_is_what_nibabel_gives(subject: Subject, order: int) -> None:
    space = Space((8, 8, 8), oblique((1.1, 1.2, 1.3), (7, -22, 16), 0.1))
    changed = resample(subject, space, order=order)
    image = nib.Nifti1Image(subject.ct.array[0], subject.ct.affine)
    expected = resample_from_to(image, (space.spatial_shape, space.affine), order, mode="nearest")
    np.testing.assert_allclose(changed.ct.array[0], expected.get_fdata(), atol=1e-5)


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_order_of_the_memory_changes_nothing(subject: Subject, order: int) -> None:
    turned = np.asfortranarray(subject.ct.array)
    fortran = subject.replace(ct=subject.ct.with_data(turned))
    expected, changed = (resample(s, SPACES[1], order=order).ct.array for s in (subject, fortran))
    np.testing.assert_allclose(changed, expected, atol=1e-6)
    assert expected[0].flags.c_contiguous
    assert changed[0].flags.f_contiguous


def test_weights_stay_weights_and_labels_of_any_dtype_labels() -> None:
    seg = np.zeros((1, 9, 9, 9), np.float16)
    seg[0, 4, 4, 4] = 7
    drawn = Image(tensor=seg.astype(np.float32), type="sampling_map")
    changed = resample(Subject(seg=LabelMap(tensor=seg), drawn=drawn), 0.7, order=3)
    assert changed.drawn.array.min() == 0 < changed.drawn.array.max()
    assert changed.seg.dtype == np.float16
    assert set(np.unique(changed.seg.array)) == {0, 7}


@pytest.mark.parametrize("order", [1.0, 6, -1, True, "1", None])
def test_an_order_that_is_none_is_an_error(subject: Subject, order: Any) -> None:
    with pytest.raises(TransformError, match="order is an integer from 0 to 5"):
        resample(subject, 2.0, order=order)


def test_a_spacing_keeps_the_middle_and_the_directions(subject: Subject) -> None:
    changed = resample(subject, (1.0, 2.0, 3.0))
    assert changed.spatial_shape == (19, 9, 8)
    np.testing.assert_allclose(changed.spacing, (1, 2, 3))
    for image in (subject.ct, changed.ct):
        middle = image.affine @ [*((n - 1) / 2 for n in image.spatial_shape), 1]
        np.testing.assert_allclose(middle, subject.ct.affine @ [7.5, 9.5, 5.5, 1])
    cosines = changed.ct.affine[:3, :3] / changed.spacing
    np.testing.assert_allclose(cosines, subject.ct.affine[:3, :3] / subject.spacing)


def test_a_linear_ramp_stays_one() -> None:
    ramp = np.fromfunction(lambda c, i, j, k: i + 2.0 * j - k, (1, 12, 12, 12))
    changed = resample(Subject(t1=ScalarImage(tensor=ramp)), 0.7).t1
    inside = changed.array[0, 2:-2, 2:-2, 2:-2]
    i, j, k = (
        np.moveaxis(np.argwhere(np.ones(inside.shape)) + 2, -1, 0) * 0.7 + changed.affine[0, 3]
    )
    np.testing.assert_allclose(inside.ravel(), i + 2 * j - k, atol=1e-9)


def test_an_image_of_another_grid_comes_to_that_of_a_named_one(subject: Subject) -> None:
    other = ScalarImage(tensor=np.ones((1, 30, 30, 30)), affine=SPACES[1].affine)
    changed = resample(subject.replace(pet=other), "ct")
    changed.check_consistent_space()
    assert changed.pet.spatial_shape == subject.ct.spatial_shape
    assert changed.ct is subject.ct
    assert changed.age == 42


def test_integers_become_floats_and_booleans_stay(subject: Subject) -> None:
    whole = np.arange(64, dtype=np.int16).reshape(1, 4, 4, 4)
    pair = Subject(ct=ScalarImage(tensor=whole), mask=LabelMap(tensor=whole > 9))
    changed = resample(pair, 0.5)
    assert changed.ct.dtype == np.float32
    assert changed.mask.dtype == bool
    assert changed.ct.array.max() > 62


@pytest.mark.parametrize("target", [0, -1.0, (1, 2), (1, 1, np.nan), None, [1, 2, "x"]])
def test_what_is_no_target_is_refused(subject: Subject, target: object) -> None:
    with pytest.raises(TransformError, match="resample needs a spacing in mm"):
        resample(subject, target)  # type: ignore[arg-type]


def test_an_unknown_image_is_refused(subject: Subject) -> None:
    with pytest.raises(UnknownImageError, match="has no image 'pet'"):
        resample(subject, "pet")
