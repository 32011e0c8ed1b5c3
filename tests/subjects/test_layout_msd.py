"""The layout of the Medical Segmentation Decathlon, as its archives have it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from voxloom import SubjectsDataset
from voxloom._errors import LayoutError, VolumeNotFoundError

Write = Callable[..., Path]
PAIR = {"image": "./imagesTr/liver_7.nii.gz", "label": "./labelsTr/liver_7.nii.gz"}


def test_training_subjects_have_image_label_and_the_name_of_their_file(
    volume: Write, describe: Write
) -> None:
    volume("imagesTr/liver_7.nii.gz", 5)
    volume("imagesTr/._liver_7.nii.gz")
    volume("labelsTr/liver_7.nii.gz", 2)
    path = describe(".", modality={"0": "CT"}, training=[PAIR], test=[])
    dataset = SubjectsDataset.from_msd(path)
    subject = dataset[0]
    assert (len(dataset), subject.subject_id) == (1, "liver_7")
    assert (subject.image.type, subject.label.type) == ("intensity", "label")
    assert (int(subject.image.data.max()), int(subject.label.data.max())) == (5, 2)
    assert subject.image["channel_names"] == ("CT",)


def test_test_subjects_are_plain_paths_without_labels(volume: Write, describe: Write) -> None:
    volume("imagesTs/liver_9.nii.gz")
    path = describe(".", training=[PAIR], test=["./imagesTs/liver_9.nii.gz"])
    subject = SubjectsDataset.from_msd(path.parent, "test").dry_iter()[0]
    assert subject.subject_id == "liver_9"
    assert subject.get_images_names() == ["image"]


def test_a_list_of_files_is_channels_and_other_fields_are_metadata(
    volume: Write, describe: Write
) -> None:
    for channel in (0, 1):
        volume(f"a_000{channel}.nii", channel)
    path = describe(".", training=[{"image": ["a_0000.nii", "a_0001.nii"], "fold": 3}])
    subject = SubjectsDataset.from_msd(path)[0]
    assert (subject.subject_id, subject.fold, subject.shape) == ("a", 3, (2, 4, 5, 6))
    assert subject.image.data.amax(dim=(1, 2, 3)).tolist() == [0, 1]


def test_names_with_spaces_accents_links_and_uppercase_suffixes_open(
    volume: Write, describe: Write, tmp_path: Path
) -> None:
    volume("real/Jose\u0301 1.NII.GZ", 8)
    (tmp_path / "images Tr").symlink_to(tmp_path / "real")
    path = describe(".", training=[{"image": "images Tr/Jos\u00e9 1.nii.gz"}])
    subject = SubjectsDataset.from_msd(path)[0]
    assert subject.subject_id == "Jos\u00e9 1"
    assert int(subject.image.data.max()) == 8


@pytest.mark.parametrize("label", [0, 2, [1, 0], True])
def test_a_label_of_the_whole_volume_is_kept_as_it_is(
    volume: Write, describe: Write, label: object
) -> None:
    volume("a.nii")
    [subject] = SubjectsDataset.from_msd(
        describe(".", training=[{"image": "a.nii", "label": label}])
    ).dry_iter()
    assert subject.label == label
    assert subject.get_images_names() == ["image"]


def test_paths_written_on_windows_open(volume: Write, describe: Write) -> None:
    volume("imagesTr/a.nii", 6)
    path = describe(".", training=[{"image": ".\\imagesTr\\a.nii"}])
    assert int(SubjectsDataset.from_msd(path)[0].image.data.max()) == 6


def test_a_folder_of_nnunet_is_told_who_reads_it(volume: Write, describe: Write) -> None:
    volume("imagesTr/a_0000.nii.gz")
    path = describe(".", training=[{"image": "./imagesTr/a.nii.gz"}])
    with pytest.raises(VolumeNotFoundError, match=r"there is a_0000\.nii\.gz.*from_nnunet"):
        SubjectsDataset.from_msd(path)


def test_a_link_that_leads_nowhere_is_named_with_its_entry(describe: Write, tmp_path: Path) -> None:
    (tmp_path / "a.nii").symlink_to("/annex/key")
    path = describe(".", training=["a.nii"])
    with pytest.raises(VolumeNotFoundError, match=r"training\[0\], image.*link to '/annex/key'"):
        SubjectsDataset.from_msd(path)


def test_the_file_that_was_given_is_named(describe: Write) -> None:
    path = describe(".", training=[PAIR])
    other = path.replace(path.with_name("fold_0.json"))
    with pytest.raises(VolumeNotFoundError, match=r"fold_0\.json: training\[0\], image"):
        SubjectsDataset.from_msd(other)


def test_a_missing_file_is_named_with_its_entry(volume: Write, describe: Write) -> None:
    volume("imagesTr/liver_7.nii.gz")
    path = describe(".", training=[PAIR])
    message = r"training\[0\], label: there is no file .*labelsTr/liver_7\.nii\.gz"
    with pytest.raises(VolumeNotFoundError, match=message):
        SubjectsDataset.from_msd(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"training": []}, r"lists no subjects under 'training'; it has lists under \[\]"),
        ({"training": [{"scan": "a"}]}, r"training\[0\]: expected a path or an object"),
        ({"training": [{"image": 3}]}, r"training\[0\], image: expected a path or a list.*got 3"),
        ({"training": [{"image": []}]}, r"the list of paths is empty"),
        ({"training": ["a"], "modality": {"CT": "0"}}, r'names by number, as \{"0": "CT"\}, got'),
    ],
)
def test_what_is_wrong_with_a_description_is_said(
    describe: Write, content: dict[str, object], message: str
) -> None:
    with pytest.raises(LayoutError, match=message):
        SubjectsDataset.from_msd(describe(".", **content))


def test_a_field_that_a_subject_cannot_hold_is_named_with_its_entry(
    volume: Write, describe: Write
) -> None:
    volume("a.nii")
    path = describe(".", training=[{"image": "a.nii", "shape": [1, 2]}])
    with pytest.raises(LayoutError, match=r"training\[0\]: .* anything called 'shape'"):
        SubjectsDataset.from_msd(path)


def test_a_description_in_another_encoding_is_named(describe: Write) -> None:
    path = describe(".")
    path.write_bytes("{}".encode("utf-16"))
    with pytest.raises(LayoutError, match=r"dataset\.json is not in UTF-8"):
        SubjectsDataset.from_msd(path)


def test_ids_that_are_not_unique_are_refused(volume: Write, describe: Write) -> None:
    volume("a/x.nii")
    volume("b/x.nii")
    path = describe(".", training=["a/x.nii", "b/x.nii"])
    with pytest.raises(LayoutError, match=r"the subject id 'x' is there twice"):
        SubjectsDataset.from_msd(path)
