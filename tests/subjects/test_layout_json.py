"""Reading the description of a data set."""

from collections.abc import Callable
from pathlib import Path

import pytest

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._layout_json import existing_files, names_by_number, read_json

Write = Callable[..., Path]


def test_a_folder_stands_for_its_description_and_a_mark_of_byte_order_does_not_matter(
    tmp_path: Path,
) -> None:
    (tmp_path / "dataset.json").write_text('{"name": "Leber"}', encoding="utf-8-sig")
    for path in (tmp_path, tmp_path / "dataset.json"):
        assert read_json(path) == ({"name": "Leber"}, tmp_path / "dataset.json")


def test_a_missing_description_is_named(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"expected .* at .*dataset\.json, there is no"):
        read_json(tmp_path)


@pytest.mark.parametrize(("text", "message"), [("{", "is not JSON"), ("[]", "it holds list")])
def test_what_is_no_description_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(LayoutError, match=message):
        read_json(tmp_path)


def test_channel_names_come_as_a_mapping_or_a_list() -> None:
    assert names_by_number({"modality": {"0": "CT"}}, "channel_names", "modality") == {"0": "CT"}
    assert names_by_number({"channel_names": ["T1", "T2"]}, "channel_names") == {
        "0": "T1",
        "1": "T2",
    }
    assert names_by_number({}, "channel_names") == {}


def test_one_file_in_a_list_is_one_file(volume: Write, tmp_path: Path) -> None:
    path = volume("a.nii")
    assert existing_files(["a.nii"], tmp_path, "here") == path
    with pytest.raises(VolumeNotFoundError, match=r"here: there is no file .*b\.nii"):
        existing_files(["a.nii", "b.nii"], tmp_path, "here")
