"""The raw layout of nnU-Net v2."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voxloom import SubjectsDataset
from voxloom._errors import LayoutError, VolumeNotFoundError

Write = Callable[..., Path]
FOLDER = "Dataset042_L\u00e9sion s"
TWO: dict[str, Any] = {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "PZ": 1},
    "numTraining": 1,
    "file_ending": ".nii.gz",
}


@pytest.fixture
def folder(volume: Write, describe: Write) -> Path:
    for case, value in (("prostate_02", 2), ("prostate_01", 1)):
        volume(f"{FOLDER}/imagesTr/{case}_0000.nii.gz", value)
        volume(f"{FOLDER}/imagesTr/{case}_0001.nii.gz", 10 * value)
        volume(f"{FOLDER}/labelsTr/{case}.nii.gz", 1)
    volume(f"{FOLDER}/imagesTs/prostate_03_0000.NII.GZ")
    volume(f"{FOLDER}/imagesTs/prostate_03_0001.NII.GZ")
    return describe(FOLDER, **TWO).parent


def test_numbered_files_are_channels_in_the_order_of_their_names(folder: Path) -> None:
    dataset = SubjectsDataset.from_nnunet(folder)
    assert [subject.subject_id for subject in dataset] == ["prostate_01", "prostate_02"]
    subject = dataset[1]
    assert subject.image.shape == (2, 4, 5, 6)
    assert subject.image.data.amax(dim=(1, 2, 3)).tolist() == [2, 20]
    assert subject.image["channel_names"] == ("T2", "ADC")
    assert subject.label.type == "label"


def test_test_cases_need_no_labels_but_keep_those_they_have(folder: Path, volume: Write) -> None:
    assert "label" not in SubjectsDataset.from_nnunet(folder, "Ts").dry_iter()[0]
    volume(f"{FOLDER}/labelsTs/prostate_03.nii.gz", 1)
    subject = SubjectsDataset.from_nnunet(folder, "Ts")[0]
    assert (subject.subject_id, int(subject.label.data.max())) == ("prostate_03", 1)


def test_a_training_case_without_a_label_is_named_with_the_file_it_lacks(folder: Path) -> None:
    (folder / "labelsTr" / "prostate_02.nii.gz").unlink()
    message = r"1 of 2 cases .* expected .*labelsTr/prostate_02\.nii\.gz"
    with pytest.raises(VolumeNotFoundError, match=message):
        SubjectsDataset.from_nnunet(folder)


def test_a_case_that_lacks_a_channel_is_named(folder: Path) -> None:
    (folder / "imagesTr" / "prostate_01_0001.nii.gz").unlink()
    message = r"case 'prostate_01' .* has channels \['0000'\], dataset\.json names \['0000', '0001'"
    with pytest.raises(LayoutError, match=message):
        SubjectsDataset.from_nnunet(folder)


@pytest.mark.parametrize("name", ["imagesTr/prostate_01_0001", "labelsTr/prostate_01"])
def test_a_volume_that_is_there_twice_is_named(folder: Path, volume: Write, name: str) -> None:
    volume(f"{FOLDER}/{name}.NII.GZ")
    with pytest.raises(LayoutError, match=r"prostate_01.*are one volume by their names"):
        SubjectsDataset.from_nnunet(folder)


def test_links_that_lead_nowhere_are_counted_and_named(folder: Path) -> None:
    (folder / "imagesTr" / "prostate_04_0000.nii.gz").symlink_to("/annex/key")
    with pytest.raises(VolumeNotFoundError, match=r"1 of 5 volumes in .* link to '/annex/key'"):
        SubjectsDataset.from_nnunet(folder)


@pytest.mark.parametrize("ending", ["nii.gz", ".NII.GZ"])
def test_an_ending_may_be_written_without_its_dot_and_in_capitals(
    folder: Path, describe: Write, ending: str
) -> None:
    describe(FOLDER, **{**TWO, "file_ending": ending})
    assert len(SubjectsDataset.from_nnunet(folder)) == 2


def test_a_file_without_a_channel_number_is_named(folder: Path, volume: Write) -> None:
    volume(f"{FOLDER}/imagesTr/stray.nii.gz")
    with pytest.raises(LayoutError, match=r"expected a name such as stray_0000\.nii\.gz"):
        SubjectsDataset.from_nnunet(folder)


def test_files_of_another_ending_are_not_cases(folder: Path, volume: Write) -> None:
    volume(f"{FOLDER}/imagesTr/stray.nii")
    assert len(SubjectsDataset.from_nnunet(folder)) == 2


def test_a_description_may_name_its_files(volume: Write, describe: Write) -> None:
    volume("elsewhere/scan.nii", 4)
    volume("elsewhere/mask.nii", 1)
    named = {"P1": {"images": ["../elsewhere/scan.nii"], "label": "../elsewhere/mask.nii"}}
    path = describe(FOLDER, channel_names={"0": "CT"}, file_ending=".nii", dataset=named)
    subject = SubjectsDataset.from_nnunet(path)[0]
    assert (subject.subject_id, int(subject.image.data.max())) == ("P1", 4)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ([1], r"'dataset' is an object of cases by name, got \[1\]"),
        ({"P1": {"image": "a"}}, r"case 'P1': expected an object with 'images', a list of 2"),
        ({"P1": {"images": ["a.nii"], "label": "a.nii"}}, r"case 'P1': 1 files for the channels"),
    ],
)
def test_what_is_wrong_with_named_files_is_said(
    volume: Write, describe: Write, named: Any, message: str
) -> None:
    volume(f"{FOLDER}/a.nii")
    with pytest.raises(LayoutError, match=message):
        SubjectsDataset.from_nnunet(describe(FOLDER, **TWO, dataset=named))


def test_what_cannot_be_read_is_said(describe: Write, folder: Path) -> None:
    with pytest.raises(LayoutError, match=r"no volumes '\.mha' .*there are \['\.nii\.gz'\]"):
        SubjectsDataset.from_nnunet(describe(FOLDER, **{**TWO, "file_ending": ".mha"}))
    with pytest.raises(LayoutError, match=r"section is 'Tr' .*got 'Va'"):
        SubjectsDataset.from_nnunet(folder, "Va")
    with pytest.raises(LayoutError, match=r"has no 'channel_names'"):
        SubjectsDataset.from_nnunet(describe("bare", labels={}))
    with pytest.raises(LayoutError, match=r"expected a folder of volumes at .*imagesTr"):
        SubjectsDataset.from_nnunet(describe("empty", channel_names={"0": "CT"}))


def test_links_spaces_accents_and_uppercase_suffixes_open(
    volume: Write, describe: Write, tmp_path: Path
) -> None:
    stored = [volume(f"annex/{number}.NII.GZ", number) for number in (1, 2, 3)]
    case = "Jos\u00e9 A_01"
    folder = tmp_path / "Dataset007_odd"
    names = (
        f"imagesTr/{case}_0000.NII.GZ",
        f"imagesTr/{case}_0001.nii.gz",
        f"labelsTr/{case}.nii.GZ",
    )
    for name, target in zip(names, stored, strict=True):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    describe("Dataset007_odd", **TWO)
    subject = SubjectsDataset.from_nnunet(folder)[0]
    assert subject.subject_id == case
    assert subject.image.data.amax(dim=(1, 2, 3)).tolist() == [1, 2]
    assert int(subject.label.data.max()) == 3
