"""Names of files, as different systems write them."""

import unicodedata
from pathlib import Path

import pytest

from voxloom import ScalarImage, VoxloomError
from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._volume_files import (
    check_ids,
    explain_lost,
    find_file,
    listed,
    parse_missing,
    split_suffix,
    volumes_in,
)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.nii.gz", ("a", ".nii.gz")),
        ("a.b.NII.GZ", ("a.b", ".nii.gz")),
        ("a.MHA", ("a", ".mha")),
        ("a.b.xyz", ("a.b", ".xyz")),
        ("folder", ("folder", "")),
        (".nii", (".nii", "")),
    ],
)
def test_the_suffix_is_the_longest_known_one_in_lower_case(
    name: str, parts: tuple[str, str]
) -> None:
    assert split_suffix(name) == parts


@pytest.mark.parametrize("stored", ["Jos\u00e9.NII.gz", "Jose\u0301.nii.gz"])
def test_a_file_is_found_under_another_case_of_its_suffix_or_spelling(
    tmp_path: Path, stored: str
) -> None:
    (tmp_path / stored).touch()
    found = find_file(tmp_path / "Jos\u00e9.nii.gz")
    assert found is not None
    assert unicodedata.normalize("NFC", found.name) == unicodedata.normalize("NFC", stored)


@pytest.mark.parametrize("other", ["JOSE.nii.gz", "jose.nii", "jose2.nii.gz"])
def test_a_file_with_another_stem_or_format_is_another_file(tmp_path: Path, other: str) -> None:
    (tmp_path / other).touch()
    assert find_file(tmp_path / "jose.nii.gz") is None


def test_a_link_that_leads_nowhere_is_no_file_and_its_target_is_named(tmp_path: Path) -> None:
    link = tmp_path / "a.nii"
    link.symlink_to("annex/object")
    assert find_file(link) is None
    assert "(a symbolic link to 'annex/object', where nothing is: fetch" in explain_lost(link)
    with pytest.raises(VolumeNotFoundError, match=r"symbolic link to 'annex/object'.*datalad get"):
        ScalarImage(link)


def test_hidden_files_and_files_that_are_no_volumes_are_left_out(tmp_path: Path) -> None:
    for name in ("b.NII", "a.nii.gz", "._a.nii.gz", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in volumes_in(tmp_path)] == ["a.nii.gz", "b.NII"]


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=r"expected a folder of volumes at .*imagesTr"):
        volumes_in(tmp_path / "imagesTr")


def test_what_to_do_about_missing_files_is_one_of_three_words() -> None:
    assert parse_missing("skip") == "skip"
    with pytest.raises(LayoutError, match=r"missing is one of .*'ignore'"):
        parse_missing("ignore")


def test_an_id_that_is_there_twice_is_refused() -> None:
    check_ids(["a", "b"], "table")
    with pytest.raises(VoxloomError, match=r"table: the subject id 'a' is there twice"):
        check_ids(["a", "b", "a"], "table")


def test_long_lists_are_shortened() -> None:
    assert listed(range(7)) == "0, 1, 2, 3, 4 and 2 more"
    assert listed(range(2)) == "0, 1"
