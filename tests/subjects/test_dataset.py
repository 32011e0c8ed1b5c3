"""Data sets: the caller's subjects are never changed, nor kept loaded."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Subset, random_split

from voxloom.subjects import ScalarImage, Subject, SubjectsDataset, load_copy

Voxels = np.ndarray[Any, Any]


class Scanner:
    """Something that a subject carries and that is not to be copied."""


def changes_in_place(subject: Subject) -> Subject:
    for image in subject.get_images(intensity_only=False):
        image.data[:] = -1
        image["notes"].append("changed")
    subject.weights[:] = -1
    subject.vector[:] = -1
    subject.notes["list"].append("changed")
    return subject


@pytest.mark.parametrize("load_getitem", [True, False])
@pytest.mark.parametrize("kind", ["array", "nii", "nii.gz", "npy", "map", "reader", "loaded"])
def test_a_transform_in_place_does_not_change_the_callers_subject(
    kind: str, load_getitem: bool, write: Any, voxels: Voxels, tmp_path: Any
) -> None:
    np.save(tmp_path / "t1.npy", voxels)
    kept = voxels.copy()
    options: dict[str, Any] = {
        "array": {"tensor": voxels},
        "map": {"tensor": np.load(tmp_path / "t1.npy", mmap_mode="r")},
        "npy": {"path": tmp_path / "t1.npy"},
        "reader": {"path": tmp_path / "t1.npy", "reader": lambda path: (voxels, None)},
    }
    image = ScalarImage(**options.get(kind, {"path": write("t1.nii")}), notes=[])
    if kind == "nii.gz":
        image = ScalarImage(write("t1.nii.gz"), notes=[])
    if kind == "loaded":
        image.load()
    loaded = image.is_loaded
    subject = Subject(
        t1=image, weights=np.ones(3), vector=torch.ones(3), notes={"list": []}, scanner=Scanner()
    )
    dataset = SubjectsDataset([subject], changes_in_place, load_getitem=load_getitem)
    changed = dataset[0]
    assert (changed.t1.array == -1).all()
    assert (changed.t1["notes"], changed.notes) == (["changed"], {"list": ["changed"]})
    assert changed.scanner is subject.scanner
    assert image.is_loaded == loaded
    assert (voxels == kept).all()
    assert (image.array == kept).all()
    assert (image["notes"], subject.notes) == ([], {"list": []})
    assert subject.weights.tolist() == subject.vector.tolist() == [1, 1, 1]


def test_items_are_loaded_and_transformed(write: Any) -> None:
    def doubled(subject: Subject) -> Subject:
        assert subject.t1.is_loaded
        return subject.replace(t1=subject.t1.with_data(subject.t1.data * 2), new=subject.t1)

    given = Subject(t1=ScalarImage(write()))
    item = SubjectsDataset([given], doubled)[0]
    assert (item.t1.array == item.new.array * 2).all()
    assert not given.t1.is_loaded


def test_items_need_not_be_loaded(write: Any) -> None:
    item = SubjectsDataset([Subject(t1=ScalarImage(write()))], load_getitem=False)[0]
    assert not item.t1.is_loaded


def test_a_loaded_copy_is_sent_with_its_changes(write: Any) -> None:
    loaded = load_copy(Subject(t1=ScalarImage(write())))
    loaded.t1.data[:] = 3
    assert (pickle.loads(pickle.dumps(loaded)).t1.array == 3).all()


@pytest.mark.parametrize("given", ["reader", "affine"])
def test_an_item_that_is_unloaded_is_its_file_again(write: Any, given: str) -> None:
    options: dict[str, Any] = {
        "reader": {"reader": lambda path: (np.full((1, 4, 5, 6), 7, np.int16), None)},
        "affine": {"affine": np.diag([2.0, 2, 2, 1])},
    }[given]
    subject = Subject(t1=ScalarImage(write(), **options))
    item = SubjectsDataset([subject])[0]
    item.t1.data[:] = -1
    changed = item.replace(t1=item.t1.with_data(item.t1.data))
    item.unload()
    assert not item.t1.is_loaded
    assert (item.t1.array == subject.t1.array).all()
    assert item.t1.spacing == subject.t1.spacing
    for kept in (changed, copy.deepcopy(SubjectsDataset([subject])[0])):
        with pytest.raises(RuntimeError, match="an image in memory has no file to read again"):
            kept.unload()


def subjects(count: int) -> list[Subject]:
    image = ScalarImage(tensor=torch.zeros(1, 2, 2, 2))
    return [Subject(t1=image, number=number) for number in range(count)]


def test_a_data_set_is_a_sequence_in_the_order_given() -> None:
    given = subjects(3)
    dataset = SubjectsDataset(iter(given))
    assert len(dataset) == 3
    assert [subject.number for subject in dataset] == [0, 1, 2]
    assert (dataset[-1].number, dataset[torch.tensor(1)].number) == (2, 1)
    assert list(dataset.dry_iter()) == given
    assert "3 subjects" in repr(dataset)


@pytest.mark.parametrize("kind", [list, SubjectsDataset])
def test_a_random_split_is_a_data_set(kind: Any, write: Any) -> None:
    given = [Subject(t1=ScalarImage(write(f"{number}.nii")), number=number) for number in range(5)]
    parts = random_split(kind(given), (3, 2), torch.Generator().manual_seed(1))
    datasets = [SubjectsDataset(part, lambda subject: subject.replace(seen=1)) for part in parts]
    assert [len(dataset) for dataset in datasets] == [3, 2]
    assert {item.number for dataset in datasets for item in dataset} == set(range(5))
    assert all(subject in given for dataset in datasets for subject in dataset.dry_iter())
    assert not any(subject.t1.is_loaded for subject in given)
    assert datasets[0][0].seen == 1


def test_a_data_set_of_transformed_subjects_keeps_what_the_transform_gave() -> None:
    inner = SubjectsDataset(subjects(2), lambda subject: subject.replace(seen=1))
    assert [item.seen for item in SubjectsDataset(inner)] == [1, 1]
    assert SubjectsDataset(Subset(inner, [1]))[0].number == 1


def test_data_sets_are_added_one_after_the_other() -> None:
    first = SubjectsDataset(subjects(2), lambda subject: subject.replace(number=9))
    both = first + SubjectsDataset(subjects(3))
    assert [both[index].number for index in range(len(both))] == [9, 9, 0, 1, 2]


def test_the_list_given_can_change_without_changing_the_data_set() -> None:
    given = subjects(3)
    dataset = SubjectsDataset(given)
    given.clear()
    assert len(dataset) == 3


@pytest.mark.parametrize("index", [3, -4])
def test_beyond_the_end_is_an_index_error(index: int) -> None:
    with pytest.raises(IndexError, match=f"has 3 subjects, there is no {index}"):
        _ = SubjectsDataset(subjects(3))[index]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "at least one subject, got none"),
        (0, "made of subjects, got int"),
        ([0], "item 0 of the subjects should give a voxloom.Subject, got int"),
    ],
)
@pytest.mark.parametrize("builtin", [TypeError, ValueError])
def test_what_makes_no_data_set_is_refused(
    given: Any, message: str, builtin: type[Exception]
) -> None:
    with pytest.raises(builtin, match=message):
        SubjectsDataset(given)


def test_a_transform_is_callable_and_gives_a_subject() -> None:
    with pytest.raises(TypeError, match="a transform is callable, got int"):
        SubjectsDataset(subjects(1), 3)  # type: ignore[arg-type]
    dataset = SubjectsDataset(subjects(1), lambda subject: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match=r"transform of the data set should give .*got NoneType"):
        _ = dataset[0]
    dataset.set_transform(None)
    assert dataset.transform is None
    assert dataset[0].number == 0


def test_an_index_is_a_number() -> None:
    with pytest.raises(TypeError, match="by its number, got 'a'"):
        _ = SubjectsDataset(subjects(1))["a"]
