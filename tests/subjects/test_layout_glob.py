"""Data sets of files that follow a pattern."""

from collections.abc import Callable
from pathlib import Path

import pytest

from voxloom import SubjectsDataset
from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._layout_glob import match_files

Write = Callable[..., Path]


def test_files_of_one_subject_find_each_other(volume: Write, tmp_path: Path) -> None:
    for subject, value in (("ann.v1", 1), ("b o", 2)):
        volume(f"{subject}/t1.nii.gz", value)
        volume(f"{subject}/masks/{subject}_seg.NII", 3)
    dataset = SubjectsDataset.from_glob(
        t1=f"{tmp_path}/{{subject}}/t1.nii.gz",
        seg=tmp_path / "{subject}" / "masks" / "{subject}_seg.nii",
        labels=["seg"],
    )
    assert [subject.subject_id for subject in dataset] == ["ann.v1", "b o"]
    assert [int(subject.t1.data.max()) for subject in dataset] == [1, 2]
    assert {subject.seg.type for subject in dataset} == {"label"}


def test_other_names_in_braces_become_metadata_and_part_of_the_id(
    volume: Write, tmp_path: Path
) -> None:
    for site in ("Oslo", "Z\u00fcrich"):
        volume(f"{site}/7.nii")
    dataset = SubjectsDataset.from_glob(t1=f"{tmp_path}/{{site}}/{{subject}}.nii")
    found = [(subject.subject_id, subject.site, subject.subject) for subject in dataset]
    assert found == [("7_Oslo", "Oslo", "7"), ("7_Z\u00fcrich", "Z\u00fcrich", "7")]


def test_relative_patterns_links_and_stars_are_followed(
    volume: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume("real/a/deep/scan_01.nii")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    for pattern in ("data/{subject}/deep/*.nii", "data/{subject}/**/scan_??.nii"):
        assert match_files(pattern) == {(("subject", "a"),): Path("data/a/deep/scan_01.nii")}


def test_hidden_files_do_not_match(volume: Write, tmp_path: Path) -> None:
    volume("._a.nii")
    assert match_files(f"{tmp_path}/{{subject}}.nii") == {}


def test_signs_of_regular_expressions_stand_for_themselves(volume: Write, tmp_path: Path) -> None:
    volume("a (1)+.nii")
    volume("a 1.nii")
    found = match_files(f"{tmp_path}/{{subject}} (1)+.nii")
    assert list(found) == [(("subject", "a"),)]


def test_a_missing_file_is_an_error_a_gap_or_left_out(volume: Write, tmp_path: Path) -> None:
    volume("a/t1.nii")
    volume("a/t2.nii")
    volume("b/t1.nii")
    patterns = {name: f"{tmp_path}/{{subject}}/{name}.nii" for name in ("t1", "t2")}
    with pytest.raises(VolumeNotFoundError, match=r"'b' has no 't2', expected at .*/b/t2\.nii"):
        SubjectsDataset.from_glob(**patterns)
    assert len(SubjectsDataset.from_glob(**patterns, missing="skip")) == 1
    omitted = SubjectsDataset.from_glob(**patterns, missing="omit")
    assert [subject.get_images_names() for subject in omitted] == [["t1", "t2"], ["t1"]]


def test_what_was_not_fetched_is_missing_and_its_link_is_named(
    volume: Write, tmp_path: Path
) -> None:
    volume("a/t1.nii")
    for name in ("a/t2.nii", "b/t1.nii", "b/t2.nii"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to("/annex/key")
    patterns = {name: f"{tmp_path}/{{subject}}/{name}.nii" for name in ("t1", "t2")}
    with pytest.raises(VolumeNotFoundError, match=r"'a' has no 't2', .*link to '/annex/key'"):
        SubjectsDataset.from_glob(**patterns)
    [subject] = SubjectsDataset.from_glob(**patterns, missing="omit").dry_iter()
    assert (subject.subject, subject.get_images_names()) == ("a", ["t1"])
    with pytest.raises(VolumeNotFoundError, match=r"no subject has all of \['t1', 't2'\]"):
        SubjectsDataset.from_glob(**patterns, missing="skip")


def test_a_field_that_a_subject_cannot_hold_is_named(volume: Write, tmp_path: Path) -> None:
    volume("a.nii")
    with pytest.raises(LayoutError, match=r"fields \{'shape': 'a'\}: .*anything called 'shape'"):
        SubjectsDataset.from_glob(t1=f"{tmp_path}/{{shape}}.nii")


def test_patterns_that_cannot_be_used_are_refused(volume: Write, tmp_path: Path) -> None:
    volume("a/t1_x.nii")
    volume("a/t1_y.nii")
    with pytest.raises(LayoutError, match=r"t1_x\.nii and .*t1_y\.nii both match"):
        SubjectsDataset.from_glob(t1=f"{tmp_path}/{{subject}}/t1_*.nii")
    with pytest.raises(LayoutError, match=r"same fields in braces.*'t2' has none"):
        SubjectsDataset.from_glob(t1="{subject}.nii", t2="t2.nii")
    with pytest.raises(VolumeNotFoundError, match=r"no file matches the pattern of 't1'"):
        SubjectsDataset.from_glob(t1=f"{tmp_path}/{{subject}}/none.nii")
    with pytest.raises(LayoutError, match=r"labels names images among \['t1'\], got \['seg'\]"):
        SubjectsDataset.from_glob(t1="{subject}.nii", labels=["seg"])
    with pytest.raises(LayoutError, match=r"give a pattern for at least one image"):
        SubjectsDataset.from_glob()


@pytest.mark.parametrize("name", ["{subject}_*_t1.nii", "{subject}_{visit}_t1.nii"])
def test_what_is_known_of_a_subject_is_not_guessed_again(
    volume: Write, tmp_path: Path, name: str
) -> None:
    for subject in ("p1", "p_3"):
        volume(f"{subject}/{subject}_0_t1.nii")
    dataset = SubjectsDataset.from_glob(t1=f"{tmp_path}/{{subject}}/{name}")
    assert [subject.subject for subject in dataset.dry_iter()] == ["p1", "p_3"]
