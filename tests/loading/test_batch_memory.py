"""Memory of a batch is used again when nobody looks at it, and not before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from voxloom.loading._batch_memory import BatchMemory

INT16 = np.dtype(np.int16)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", "bool"])
def test_a_tensor_has_the_shape_and_type_asked_for(dtype: str) -> None:
    tensor = BatchMemory().empty((2, 3, 4), np.dtype(dtype))
    assert tensor.shape == (2, 3, 4)
    assert str(tensor.dtype) == f"torch.{dtype}"
    assert tensor.data_ptr() % 64 == 0
    assert tensor.is_contiguous()


def test_memory_comes_back_when_the_last_view_is_gone() -> None:
    memory = BatchMemory()
    tensor = memory.empty((4, 8), INT16)
    place, view = tensor.data_ptr(), tensor[1:, ::2].t()
    view.fill_(7)
    del tensor
    other = memory.empty((4, 8), INT16)
    assert other.data_ptr() != place
    other.fill_(1)
    assert (view == 7).all()
    del view
    assert memory.empty((4, 8), INT16).data_ptr() == place


def test_what_is_kept_is_never_given_out_twice() -> None:
    memory = BatchMemory()
    kept = [memory.empty((64,), INT16) for _ in range(9)]
    assert len({tensor.data_ptr() for tensor in kept}) == 9
    for number, tensor in enumerate(kept):
        tensor.fill_(number)
    assert [int(tensor[0]) for tensor in kept] == list(range(9))


def test_a_few_batches_of_each_size_are_spared() -> None:
    memory = BatchMemory()
    kept = [memory.empty((n % 3 + 1, 50), INT16) for n in range(30)]
    kept.clear()
    assert [len(spare) for spare in memory._spare.values()] == [2, 2, 2]


def test_a_tensor_outlives_the_memory_it_came_from() -> None:
    tensor = BatchMemory().empty((1000,), INT16)
    tensor.fill_(3)
    assert int(torch.sum(tensor)) == 3000
