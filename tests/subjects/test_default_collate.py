"""A plain DataLoader batches subjects as SubjectsLoader does."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, DataLoader, Subset, default_collate

from voxloom.loading import SubjectsLoader
from voxloom.subjects import LabelMap, ScalarImage, Subject, SubjectsDataset


class Patient(Subject):
    """A kind of subject of the user."""


def subjects(kind: type[Subject] = Subject) -> list[Subject]:
    def subject(n: int) -> Subject:
        t1 = ScalarImage(tensor=torch.full((1, 3, 4, 5), float(n)))
        seg = LabelMap(tensor=np.full((1, 3, 4, 5), n, dtype=np.uint8))
        rest = {"age": n, "site": f"s{n}", "none": None, "vector": np.arange(n, n + 3)}
        return kind(t1=t1, seg=seg, deep={"path": Path(f"{n}"), "x": n / 2}, **rest)

    return [subject(n) for n in range(4)]


def raised(subject: Subject) -> Subject:
    return subject.replace(t1=subject.t1.with_data(subject.t1.data + 1))


def assert_same(one: Any, two: Any) -> None:
    assert type(one) is type(two)
    if isinstance(one, dict):
        assert list(one) == list(two)
        for key in one:
            assert_same(one[key], two[key])
    elif isinstance(one, torch.Tensor):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)
    else:
        assert one == two


def test_a_loader_gives_the_same_batches_plain_or_not_with_workers_or_not() -> None:
    dataset = SubjectsDataset(subjects(), raised)
    batches = [
        list(loader(dataset, batch_size=2, num_workers=workers))
        for loader in (DataLoader, SubjectsLoader)
        for workers in (0, 2)
    ]
    assert [len(epoch) for epoch in batches] == [2] * 4
    assert batches[0][1]["t1"]["data"].mean(dim=(1, 2, 3, 4)).tolist() == [3, 4]
    assert batches[0][1]["site"] == ["s2", "s3"]
    for epoch in batches[1:]:
        for one, two in zip(batches[0], epoch, strict=True):
            assert_same(one, two)


@pytest.mark.parametrize("kind", [Subject, Patient])
def test_a_list_of_subjects_is_a_data_set_as_well(kind: type[Subject]) -> None:
    given = subjects(kind)
    (plain,) = DataLoader(given, batch_size=4)  # type: ignore[arg-type]
    (ours,) = SubjectsLoader(SubjectsDataset(given), batch_size=4)
    assert_same(plain, ours)


def test_data_sets_of_torch_can_hold_ours() -> None:
    dataset: Any = SubjectsDataset(subjects())
    both: Any = ConcatDataset([Subset(dataset, [3]), dataset])
    (batch,) = DataLoader(both, batch_size=5)
    assert batch["age"].tolist() == [3, 0, 1, 2, 3]


def test_subjects_may_lie_in_a_larger_item() -> None:
    batch = default_collate([(subject, subject.age) for subject in subjects()])
    assert batch[0]["t1"]["data"].shape == (4, 1, 3, 4, 5)
    assert batch[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("first", ["torch", "voxloom.subjects"])
def test_the_order_of_imports_does_not_matter(first: str) -> None:
    code = f"""
import {first}
import numpy as np
from voxloom.subjects import ScalarImage, Subject, SubjectsDataset
one = Subject(t1=ScalarImage(tensor=np.ones((1, 2, 2, 2))))
dataset = SubjectsDataset([one, one])
from torch.utils.data import DataLoader
(batch,) = DataLoader(dataset, batch_size=2)
print(tuple(batch["t1"]["data"].shape))
"""
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.strip() == "(2, 1, 2, 2, 2)"
