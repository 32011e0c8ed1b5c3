"""Batches: images stacked, numbers as tensors, everything else in lists."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxloom._errors import SubjectError
from voxloom.subjects import (
    Image,
    LabelMap,
    ScalarImage,
    Subject,
    SubjectsDataset,
    collate,
    collate_metadata,
)
from voxloom.subjects._collate import split_batch


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


def test_a_batch_is_split_into_the_subjects_that_made_it() -> None:
    def make(number: int) -> Subject:
        voxels = np.full((2, 3, 4, 5), number, dtype=np.int16)
        return Subject(
            t1=ScalarImage(tensor=voxels, affine=np.diag([2.0, 3, 4, 1]), site="A"),
            seg=LabelMap(tensor=voxels % 2),
            weights=Image(tensor=voxels, type="sampling_map"),
            age=40 + number,
            name=f"sub-{number}",
            scores={"a": [number, None]},
        )

    batch = collate([make(n) for n in range(3)])
    subjects = SubjectsDataset.from_batch(batch).dry_iter()
    assert [int(subject.age) for subject in subjects] == [40, 41, 42]
    assert [subject.name for subject in subjects] == ["sub-0", "sub-1", "sub-2"]
    assert subjects[2]["scores"] == {"a": [2, None]}
    for number, subject in enumerate(subjects):
        kinds = [type(subject[name]) for name in ("t1", "seg", "weights")]
        assert kinds == [ScalarImage, LabelMap, Image]
        assert [image.type for image in subject.get_images(False)] == [
            "intensity", "label", "sampling_map",
        ]  # fmt: skip
        assert (subject.t1.array == number).all()
        assert subject.t1["site"] == "A"
        assert (subject.t1.affine == np.diag([2.0, 3, 4, 1])).all()
    batch["t1"]["data"][1] = 9
    assert (subjects[1].t1.array == 9).all()


def test_images_of_a_batch_know_the_name_of_their_file(write: Any) -> None:
    subject = Subject(t1=ScalarImage(write("t1.nii")))
    [image] = split_batch(collate([subject.load()]))[0].get_images()
    assert (image.path, image["filename"], image["path"]) == (None, "t1.nii", "")


@pytest.mark.parametrize("batch", [{}, {"age": torch.zeros(2)}, {"t1": {"path": ["a"]}}])
def test_what_has_no_images_is_no_batch_to_split(batch: dict[str, Any]) -> None:
    with pytest.raises(SubjectError, match=r"a batch is a dictionary with images, .*; got \["):
        split_batch(batch)


def test_a_number_of_patches_that_only_some_subjects_say_is_left_out() -> None:
    some = [Subject(t1=image(), num_samples=3), Subject(t1=image())]
    for batch in (some, some[::-1]):
        assert list(collate(batch)) == ["t1"]
    assert collate(some[:1] * 2)["num_samples"].tolist() == [3, 3]
