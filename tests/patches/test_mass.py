import re

import numpy as np
import pytest

from voxloom._errors import ProbabilityError
from voxloom.patches._mass import ChannelVoxels, Foreground, LabelVoxels, Mass, Weights


@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4", "f8"])
def test_a_label_is_found_in_every_dtype(dtype: str) -> None:
    region = np.array([[0, 3, 7, 3]], dtype=dtype)
    assert LabelVoxels(3).of(region).tolist() == [False, True, False, True]


@pytest.mark.parametrize("label", [-1, 300, 70000, 2**40])
def test_a_label_that_the_dtype_cannot_hold_is_nowhere(label: int) -> None:
    region = np.array([[0, 255, 44]], dtype=np.uint8)
    assert not LabelVoxels(label).of(region).any()


def test_negative_labels_are_labels() -> None:
    assert LabelVoxels(-2).of(np.array([[-2, 2]], dtype=np.int8)).tolist() == [True, False]


def test_foreground_is_above_zero_in_any_channel() -> None:
    region = np.array([[0, 1, 0, -1], [0, 0, 2, -1]], dtype=np.int16)
    assert Foreground().of(region).tolist() == [False, True, True, False]


def test_a_voxel_belongs_to_a_channel_where_it_is_not_zero() -> None:
    region = np.array([[1, 1, 1], [0, 0.5, -1]])
    assert ChannelVoxels(1).of(region).tolist() == [False, True, True]


def test_weights_of_channels_add_up_in_float64() -> None:
    region = np.array([[2**24], [1]], dtype=np.float32)
    assert Weights().of(region).tolist() == [2.0**24 + 1]


def test_a_scale_applies_to_all_channels() -> None:
    region = np.array([[1.0], [2.0]])
    assert Weights(scale=0.5).of(region).tolist() == [1.5]


@pytest.mark.parametrize("value", [-1.0, np.nan, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_weights_that_are_none_are_named(value: float, dtype: str) -> None:
    region = np.array([[1, value]], dtype=dtype)
    message = f"weights are 0 or more, and finite; image 'w' holds {value}: clip it"
    with pytest.raises(ProbabilityError, match=re.escape(message)):
        Weights("image 'w'").check(region)


@pytest.mark.parametrize("mass", [Weights(), LabelVoxels(1), ChannelVoxels(0), Foreground()])
def test_masses_have_the_dtype_they_say(mass: Mass) -> None:
    assert mass.of(np.ones((1, 2, 2, 2), dtype=np.int16)).dtype == mass.dtype
