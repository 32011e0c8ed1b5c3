from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.cli._folder import find_layout, looks_like_labels
from voxloom.io import open_volume


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["ann_t1.nii.gz", "ann_seg.nii.gz", "bob_t1.nii.gz", "bob_seg.nii.gz"],
        ["ann/t1.nii", "ann/seg.nii", "bob/t1.nii", "bob/seg.nii"],
        ["t1/ann.nii", "t1/bob.nii", "seg/ann.nii", "seg/bob.nii"],
        ["ann-t1.nii", "ann-seg.nii", "bob-t1.nii", "bob-seg.nii"],
    ],
    ids=["last word", "folder a subject", "folder an image", "hyphen"],
)
def test_usual_layouts_are_found(tmp_path, names):
    found = find_layout(touch(tmp_path, *names))
    assert sorted(found.files) == ["ann", "bob"]
    assert found.images == ["t1", "seg"]
    assert found.labels == {"seg"}
    assert all(file.exists() for images in found.files.values() for file in images.values())


@pytest.mark.parametrize(
    ("names", "subjects", "images"),
    [
        (["volume-{}.nii", "segmentation-{}.nii"], ["0", "1"], ["volume", "segmentation"]),
        (["img/img{}.nii", "label/label{}.nii"], ["0", "1"], ["img", "label"]),
        (["p{}.nii.gz", "p{}_seg.nii.gz"], ["p0", "p1"], ["image", "seg"]),
        (["p-{}.nii.gz", "p-{}-mask.nii.gz"], ["p-0", "p-1"], ["image", "mask"]),
        (["X-0{0}/X-0{0}-t1n.nii", "X-0{0}/X-0{0}-seg.nii"], ["X-00", "X-01"], ["t1n", "seg"]),
    ],
    ids=["LiTS", "BTCV", "bare name", "bare name, hyphens", "BraTS 2023"],
)
def test_layouts_of_challenges_are_found(tmp_path, names, subjects, images):
    files = [name.format(number) for number in range(2) for name in names]
    found = find_layout(touch(tmp_path, *files))
    assert [Path(key).name for key in found.files] == subjects
    assert found.images == images
    assert found.labels == {images[1]}


@pytest.mark.parametrize(
    ("names", "images"),
    [
        (["scan-1.nii", "scan-2.nii", "scan-3.nii"], ["image"]),
        (["sub-a_ct.nii", "sub-b_ct.nii"], ["ct"]),
        (["t1.nii", "t2.nii"], ["image"]),
    ],
    ids=["numbers", "hyphens in subjects", "one word"],
)
def test_rarer_layouts_need_words_that_are_known(tmp_path, names, images):
    found = find_layout(touch(tmp_path, *names))
    assert (len(found.files), found.images) == (len(names), images)


@pytest.mark.parametrize(
    "names",
    [
        ["{part}/images/{name}.nii", "{part}/labels/{name}.nii"],
        ["images{part}/{name}.nii", "labels{part}/{name}.nii"],
        ["images_{part}/{name}.nii", "labels_{part}/{name}.nii"],
    ],
)
def test_parts_are_parts_of_the_subjects(tmp_path, names):
    cases = [("Train", "a"), ("Train", "b"), ("Val", "a"), ("Test", "c")]
    files = [name.format(part=part, name=key) for part, key in cases for name in names]
    found = find_layout(touch(tmp_path, *files[:-1]))  # a test set may come without labels
    assert sorted(found.files) == ["Test/c", "Train/a", "Train/b", "Val/a"]
    assert (found.images, found.labels) == (["images", "labels"], {"labels"})


def total_segmentator(folder: Path, organs: int) -> Path:
    names = ["ct.nii.gz", *(f"segmentations/organ_{n}.nii.gz" for n in range(organs))]
    return touch(folder, *(f"s000{number}/{name}" for number in range(3) for name in names))


def test_masks_in_a_folder_of_the_subject_are_its_label_maps(tmp_path):
    found = find_layout(total_segmentator(tmp_path, 2))
    assert sorted(found.files) == ["s0000", "s0001", "s0002"]
    assert found.images == ["ct", "segmentations_organ_0", "segmentations_organ_1"]
    assert found.labels == {"segmentations_organ_0", "segmentations_organ_1"}


def test_too_many_masks_are_refused_with_what_to_write(tmp_path):
    inner = f"{tmp_path}/{{subject}}"
    with pytest.raises(LayoutError, match="has 118 images; name those") as caught:
        find_layout(total_segmentator(tmp_path, 117))
    assert str(caught.value).endswith(
        f"--glob 'ct={inner}/ct.nii.gz' "
        f"--glob 'segmentations_organ_0={inner}/segmentations/organ_0.nii.gz'"
    )


def write_slices(folder: Path, suffix: str = ".dcm") -> None:
    sitk = pytest.importorskip("SimpleITK")
    folder.mkdir(parents=True)
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for number in range(3):
        image = sitk.GetImageFromArray(np.zeros((1, 4, 4), np.int16))
        for tag, value in {
            "0008|0018": f"1.2.9.{number}",
            "0020|000e": "1.2.4",
            "0020|0032": f"0\\0\\{number}",
            "0020|0037": "1\\0\\0\\0\\1\\0",
        }.items():
            image.SetMetaData(tag, value)
        writer.SetImageIO("GDCMImageIO")
        writer.SetFileName(str(folder / f"IM{number}.dcm"))
        writer.Execute(image)
        (folder / f"IM{number}.dcm").rename(folder / f"IM{number}{suffix}")


@pytest.mark.parametrize("suffix", [".dcm", "", ".IMA"])
def test_a_folder_of_slices_is_one_volume(tmp_path, suffix):
    for name in ("pat_1", "pat_2"):
        write_slices(tmp_path / name, suffix)
    assert find_layout(tmp_path / "pat_1").files == {"pat_1": {"image": tmp_path / "pat_1"}}
    found = find_layout(tmp_path)
    assert found.files == {name: {"image": tmp_path / name} for name in ("pat_1", "pat_2")}
    assert open_volume(tmp_path / "pat_1").shape == (1, 4, 4, 3)


def test_a_volume_beside_slices_is_not_lost(tmp_path):
    write_slices(tmp_path / "ann")
    touch(tmp_path, "ann/other.nii")
    assert sorted(find_layout(tmp_path / "ann").files) == ["ann", "other"]


def test_folders_of_slices_are_images_of_a_subject(tmp_path):
    for name in ("ann/ct", "ann/pet", "bob/ct", "bob/pet"):
        write_slices(tmp_path / name)
    found = find_layout(tmp_path)
    assert (sorted(found.files), found.images) == (["ann", "bob"], ["ct", "pet"])


def test_nested_names_keep_visits_apart(tmp_path):
    names = [f"{who}/{visit}/{who}_{visit}_T1w.nii" for who in ("a", "b") for visit in ("1", "2")]
    found = find_layout(touch(tmp_path, *names))
    assert (len(found.files), found.images) == (4, ["t1w"])


def test_a_subject_without_one_image_is_kept_for_check_to_find(tmp_path):
    names = [f"{n}_{kind}.nii" for n in range(4) for kind in ("t1", "mask")][:-1]
    found = find_layout(touch(tmp_path, *names))
    assert [sorted(images) for images in found.files.values()] == [["mask", "t1"]] * 3 + [["t1"]]


def test_files_without_a_scheme_are_subjects(tmp_path):
    found = find_layout(touch(tmp_path, "one.nii", "two.mha", "notes.txt", ".hidden.nii"))
    assert (sorted(found.files), found.images) == (["one", "two"], ["image"])


def test_a_zarr_is_one_volume(tmp_path):
    touch(tmp_path, "ann.zarr/0/c/0.nii", "bob.zarr/zarr.json")
    assert sorted(find_layout(tmp_path).files) == ["ann", "bob"]


def test_names_become_names_of_images(tmp_path):
    found = find_layout(touch(tmp_path, "a/3D FLAIR.nii", "b/3D FLAIR.nii"))
    assert found.images == ["image_3d_flair"]


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(VolumeNotFoundError, match=r"there is no folder '.*nowhere'"):
        find_layout(tmp_path / "nowhere")


def test_an_empty_folder_says_what_is_known(tmp_path):
    with pytest.raises(VolumeNotFoundError, match=r"no volume lies in .* \.nii"):
        find_layout(touch(tmp_path, "notes.txt"))


def test_two_volumes_of_one_name_are_not_guessed_apart(tmp_path):
    with pytest.raises(LayoutError, match=r"two volumes .* are called 'a'"):
        find_layout(touch(tmp_path, "a.nii", "a.mha", "b.nii"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("seg", True), ("label", True), ("brain_mask", True), ("t1", False), ("masked_t1", False)],
)
def test_label_maps_are_known_by_name(name, expected):
    assert looks_like_labels(name) is expected
