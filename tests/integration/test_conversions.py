"""Subjects go to the libraries of others and come back over the same memory."""

import numpy as np
import pytest
from torch import Tensor

from voxloom import LabelMap, ScalarImage, Subject

AFFINE = np.array([[0, -2.5, 0, 9], [0.5, 0, 0.1, -4], [0, 0, -3, 20], [0, 0, 0, 1.0]])


@pytest.fixture(params=["C", "F"])
def subject(request: pytest.FixtureRequest) -> Subject:
    rng = np.random.default_rng(0)
    t1 = np.asarray(rng.random((2, 4, 5, 6), np.float32), order=request.param)
    seg = np.asarray(rng.integers(0, 3, (1, 4, 5, 6), np.uint8), order=request.param)
    return Subject(
        t1=ScalarImage(tensor=t1, affine=AFFINE), seg=LabelMap(tensor=seg, affine=AFFINE), age=42
    )


def check_same_memory(subject: Subject, theirs: dict[str, Tensor], back: Subject) -> None:
    for name, tensor in theirs.items():
        ours = subject[name].data
        assert tensor.data_ptr() == ours.data_ptr() == back[name].data.data_ptr()
        assert tensor.stride() == ours.stride() == back[name].data.stride()
        np.testing.assert_array_equal(back[name].affine, AFFINE)
        assert (type(back[name]), back[name].type) == (type(subject[name]), subject[name].type)
        ours[0, 1, 2, 3] = 7
        assert tensor[0, 1, 2, 3] == back[name].array[0, 1, 2, 3] == 7


def test_to_torchio_and_back_no_voxel_is_copied(subject: Subject) -> None:
    torchio = pytest.importorskip("torchio")
    theirs = subject.to_torchio()
    assert isinstance(theirs, torchio.Subject)
    assert isinstance(theirs["seg"], torchio.LabelMap)
    back = Subject.from_torchio(theirs)
    assert (theirs["age"], back.age) == (42, 42)
    check_same_memory(subject, {name: theirs[name].data for name in ("t1", "seg")}, back)


def test_to_monai_and_back_no_voxel_is_copied(subject: Subject) -> None:
    data = pytest.importorskip("monai.data")
    items = subject.to_monai()
    assert isinstance(items["t1"], data.MetaTensor)
    np.testing.assert_array_equal(items["t1"].affine, AFFINE)
    back = Subject.from_monai(items)
    assert (items["age"], back.age) == (42, 42)
    check_same_memory(subject, {name: items[name] for name in ("t1", "seg")}, back)
