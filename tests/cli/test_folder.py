from pathlib import Path

import pytest

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.cli._folder import find_layout, looks_like_labels


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
    ],
    ids=["last word", "folder a subject", "folder an image"],
)
def test_usual_layouts_are_found(tmp_path, names):
    found = find_layout(touch(tmp_path, *names))
    assert sorted(found.files) == ["ann", "bob"]
    assert found.images == ["t1", "seg"]
    assert found.labels == {"seg"}
    assert all(file.exists() for images in found.files.values() for file in images.values())


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
