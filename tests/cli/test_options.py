import inspect
from pathlib import Path
from typing import get_type_hints

import pytest

from voxloom.cli._options import DataOptions, PatchOptions, grouped
from voxloom.subjects import SubjectsDataset


def pair(source: Path, *, data: DataOptions, cutting: PatchOptions, seed: int = 3) -> int:
    pair.seen = (source, data, cutting)  # type: ignore[attr-defined]
    return seed


def test_a_group_is_an_option_for_each_of_its_fields():
    command = grouped(pair)
    names = ["source", "msd", "nnunet", "csv", "glob", "image", "label"]
    names += ["patch_size", "sampler", "map_name", "shares", "seed"]
    assert list(inspect.signature(command).parameters) == names
    assert set(get_type_hints(command)) == {*names, "return"}


def test_a_group_is_put_together_from_its_options():
    options = dict.fromkeys(("msd", "nnunet", "csv", "glob", "image"))
    options |= {"patch_size": "8", "sampler": "label", "map_name": None, "shares": "1=1"}
    assert grouped(pair)(source=Path("a"), label=["seg"], seed=5, **options) == 5
    source, data, cutting = pair.seen  # type: ignore[attr-defined]
    assert source == Path("a")
    assert data == DataOptions(label=["seg"])
    assert cutting == PatchOptions("8", "label", None, "1=1")


@pytest.mark.parametrize("name", ["msd", "nnunet", "csv", "glob"])
def test_an_option_can_stand_for_the_argument(name):
    assert DataOptions(**{name: ["x"]}).names_a_source
    assert not DataOptions(label=["x"]).names_a_source


def test_the_groups_open_data_and_make_a_sampler(phantoms):
    dataset = DataOptions().open(phantoms).dataset
    assert isinstance(dataset, SubjectsDataset)
    sampler = PatchOptions(patch_size="8").make_sampler(dataset, dataset.check())
    assert sampler.patch_size == (8, 8, 8)
