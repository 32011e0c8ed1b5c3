"""Batches: images stacked, numbers as tensors, everything else in lists."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxloom.subjects import LabelMap, ScalarImage, Subject, collate, collate_metadata


def image(value: float = 0, shape: tuple[int, ...] = (1, 4, 5, 6), **metadata: Any) -> ScalarImage:
    tensor = torch.full(shape, value)
    return ScalarImage(tensor=tensor, affine=np.diag([value + 1, 2, 3, 1]), **metadata)


def test_images_become_dictionaries() -> None:
    seg = LabelMap(tensor=torch.ones(2, 4, 5, 6, dtype=torch.uint8))
    batch = collate([Subject(t1=image(n, note=n), seg=seg) for n in range(3)])
    assert batch["t1"]["data"].shape == (3, 1, 4, 5, 6)
    assert batch["t1"]["data"][:, 0, 0, 0, 0].tolist() == [0, 1, 2]
    assert batch["t1"]["affine"].shape == (3, 4, 4)
    assert batch["t1"]["affine"].dtype == torch.float64
    assert batch["t1"]["affine"][:, 0, 0].tolist() == [1, 2, 3]
    assert batch["t1"]["note"].tolist() == [0, 1, 2]
    assert (batch["t1"]["type"], batch["t1"]["path"]) == (["intensity"] * 3, [""] * 3)
    assert (batch["seg"]["data"].dtype, batch["seg"]["type"][0]) == (torch.uint8, "label")


def test_a_batch_shares_no_memory_with_its_subjects() -> None:
    subject = Subject(t1=image())
    collate([subject])["t1"]["data"][:] = 5
    assert float(subject.t1.data.max()) == 0


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([1, 2], torch.int64),
        ([1.5, 2.0], torch.float64),
        ([1, 2.5], torch.float64),
        ([True, False], torch.bool),
        ([np.float32(1), np.float32(2)], torch.float32),
        ([np.arange(3), np.arange(3)], torch.int64),
        ([np.ones(3, dtype=">f4"), np.ones(3, dtype=">f4")], torch.float32),
        ([torch.ones(2, 2), torch.zeros(2, 2)], torch.float32),
    ],
)
def test_numbers_and_arrays_are_stacked(values: list[Any], dtype: torch.dtype) -> None:
    batch = collate_metadata(values)
    assert batch.dtype == dtype
    assert batch.tolist() == [np.asarray(value).tolist() for value in values]


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b"],
        [None, None],
        [None, 3],
        [Path("a"), Path("b")],
        [[1, 2], [3, 4]],
        [2**80, 1],
        [True, 3],
        ["a", 1],
        [np.datetime64("2020"), np.datetime64("2021")],
        [{"a": 1}, {"b": 1}],
        [{"a": 1}, 3],
    ],
)
def test_everything_else_is_listed(values: list[Any]) -> None:
    assert collate_metadata(values) == values


def test_arrays_of_different_shapes_are_listed() -> None:
    batch = collate_metadata([np.ones(2), np.ones(3)])
    assert [tuple(array.shape) for array in batch] == [(2,), (3,)]


def test_dictionaries_are_collated_key_by_key() -> None:
    batch = collate_metadata([{"age": 1, "in": {"x": "a"}}, {"age": 2, "in": {"x": "b"}}])
    assert batch["age"].tolist() == [1, 2]
    assert batch["in"] == {"x": ["a", "b"]}


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([], "at least one subject, got none"),
        ([Subject(t1=image()), Subject(t2=image())], r"same items, got \['t1'\] in .* \['t2'\]"),
        (
            [Subject(t1=image()), Subject(t1=image(shape=(1, 4, 5, 7)))],
            r"'t1' has different shapes in one batch: .*\(1, 4, 5, 7\).*crop or pad",
        ),
        ([Subject(t1=image(a=1)), Subject(t1=image(b=1))], "'t1' is an image with the same meta"),
        ([Subject(t1=image(), t2=image()), Subject(t1=image(), t2=3)], "'t2' .* and int"),
    ],
)
def test_what_makes_no_batch_is_refused(batch: list[Subject], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        collate(batch)
