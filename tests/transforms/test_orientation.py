import itertools

import nibabel as nib
import numpy as np
import pytest

from voxloom import LabelMap, ScalarImage, Subject
from voxloom.transforms import canonical

TURNS = [
    (order, signs)
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def affine_of(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.0, 2.0, 3.0])[:, order] * signs
    affine[:3, :3] += np.random.default_rng(0).uniform(-0.1, 0.1, (3, 3))
    affine[:3, 3] = [5, -6, 7]
    return affine


@pytest.mark.parametrize(("order", "signs"), TURNS)
def test_it_is_what_nibabel_gives(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    voxels = np.arange(2 * 3 * 4 * 5, dtype=np.int16).reshape(2, 3, 4, 5)
    affine = affine_of(order, signs)
    image = ScalarImage(tensor=voxels, affine=affine)
    turned = canonical(Subject(t1=image, seg=LabelMap(tensor=voxels, affine=affine)))
    expected = nib.as_closest_canonical(nib.Nifti1Image(np.moveaxis(voxels, 0, -1), affine))
    for name in ("t1", "seg"):
        np.testing.assert_array_equal(
            turned[name].array, np.moveaxis(np.asarray(expected.dataobj), -1, 0)
        )
        np.testing.assert_allclose(turned[name].affine, expected.affine, atol=1e-12)
    assert turned.t1.orientation == ("R", "A", "S")
    assert turned.t1.data.shape == turned.t1.shape


def test_what_is_canonical_stays_the_same_image() -> None:
    image = ScalarImage(tensor=np.ones((1, 2, 2, 2)))
    assert canonical(Subject(t1=image)).t1 is image
