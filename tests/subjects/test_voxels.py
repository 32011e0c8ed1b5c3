"""What is taken as voxels."""

from typing import Any

import numpy as np
import pytest
import torch

from voxloom.subjects._voxels import as_voxels, shareable


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"]
)
def test_types_of_torch_stay_and_keep_their_memory(dtype: str) -> None:
    array = np.ones((1, 2, 3, 4), dtype=dtype)
    assert as_voxels(array) is array
    assert as_voxels(torch.from_numpy(array)).dtype == array.dtype


def test_foreign_byte_order_becomes_native() -> None:
    array = np.arange(8, dtype=">i2").reshape(1, 2, 2, 2)
    assert as_voxels(array).dtype == np.int16
    assert (as_voxels(array) == array).all()
    assert as_voxels(array.astype(">u2")).dtype == np.int32


def test_a_flipped_array_is_copied_because_torch_has_no_negative_strides() -> None:
    array = np.arange(8.0).reshape(1, 2, 2, 2)[:, ::-1]
    assert (torch.from_numpy(as_voxels(array)).numpy() == array).all()


def test_a_tensor_with_gradients_is_taken_without_them() -> None:
    assert as_voxels(torch.ones(1, 2, 2, 2, requires_grad=True)).sum() == 8


def test_only_writable_arrays_are_shared() -> None:
    array = np.ones((1, 2, 2, 2))
    assert shareable(array) is array
    array.setflags(write=False)
    assert shareable(array) is None


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (np.ones((1, 2, 2, 2), dtype=complex), "at most 64 bits, got complex128"),
        (np.ones((1, 2, 2, 2), dtype=np.longdouble), "at most 64 bits, got"),
        (np.full((1, 2, 2, 2), "a"), "got <U1"),
        (np.ones((1, 0, 2, 2)), r"none empty; got shape \(1, 0, 2, 2\)"),
        (torch.ones(2, 2), r"four axes.*\(2, 2\)"),
        (torch.ones(1, 2, 2, 2, dtype=torch.bfloat16), r"bfloat16 tensor; use \.float\(\)"),
        (None, "got NoneType"),
    ],
)
def test_what_holds_no_voxels_is_refused(voxels: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        as_voxels(voxels)
