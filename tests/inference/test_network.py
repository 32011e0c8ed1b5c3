"""Calling a network."""

import pytest
import torch

from voxloom._errors import InferenceError
from voxloom.inference._network import device_of, flip_sets, pack, predict, unpack


def test_true_flips_all_axes_and_one_axis_is_enough() -> None:
    assert len(flip_sets(True)) == 8
    assert flip_sets(False) == flip_sets(()) == [()]
    assert flip_sets(1) == [(), (1,)]


@pytest.mark.parametrize("axes", [(0, 0), (-1,), ("x",)])
def test_flips_that_are_no_axes_are_refused(axes: object) -> None:
    with pytest.raises(InferenceError, match=r"flips are axes among 0, 1, 2, each once"):
        flip_sets(axes)


@pytest.mark.parametrize("form", ["one", "tuple", "mapping"])
def test_outputs_keep_their_form(form: str) -> None:
    tensor = torch.zeros(1, 1, 2, 2, 2)
    outputs = {"one": tensor, "tuple": (tensor, tensor), "mapping": {"a": tensor}}[form]
    names, tensors = unpack(outputs)
    assert type(pack(names, tensors)) is type(outputs)


def test_half_precision_is_averaged_in_float32() -> None:
    batch = torch.rand(1, 1, 2, 2, 2)
    _, (mean,) = predict(lambda x: x.half(), batch, [(), (0,)])
    assert mean.dtype == torch.float32


def test_patches_go_where_the_parameters_are() -> None:
    assert device_of(torch.nn.Conv3d(1, 1, 1, device="meta")).type == "meta"
    assert device_of(torch.nn.ReLU()).type == "cpu"
    assert device_of(lambda batch: batch).type == "cpu"
