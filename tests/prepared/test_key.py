from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import zarr

from voxloom.io import DicomSource, Hdf5Source, ZarrSource, write_nifti, write_zarr
from voxloom.prepared._key import subject_key
from voxloom.subjects import LabelMap, ScalarImage, Subject

VOXELS = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)


def test_a_subject_is_known_by_all_that_it_holds() -> None:
    image = ScalarImage(tensor=VOXELS)
    keys = [
        subject_key(subject, settings)
        for subject, settings in [
            (Subject(t1=image), "nifti"),
            (Subject(t1=image), "zarr"),
            (Subject(t2=image), "nifti"),
            (Subject(t1=image, age=1), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS + 1)), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS, affine=np.diag([2, 1, 1, 1]))), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS, scanner="A")), "nifti"),
            (Subject(t1=LabelMap(tensor=VOXELS)), "nifti"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert subject_key(Subject(t1=ScalarImage(tensor=VOXELS.copy())), "nifti") == keys[0]


def test_a_copied_file_is_the_same_subject(tmp_path: Path) -> None:
    names = [write_nifti(tmp_path / name, VOXELS) for name in ("a.nii", "b.nii")]
    first, second = (subject_key(Subject(t1=ScalarImage(name)), "") for name in names)
    assert first == second


def key_of(image: ScalarImage) -> str:
    return subject_key(Subject(t1=image), "")


@pytest.mark.parametrize("name", ["a.mhd", "a.nhdr", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("packed", [False, True])
def test_voxels_beside_a_header_count_as_its_content(
    tmp_path: Path, name: str, packed: bool
) -> None:
    itk = pytest.importorskip("SimpleITK")
    keys = []
    for value in (3, 4, 3):
        voxels = np.full((4, 5, 6), value, np.int16)
        itk.WriteImage(itk.GetImageFromArray(voxels), str(tmp_path / name), packed)
        keys.append(key_of(ScalarImage(tmp_path / name)))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("asked", ["a.img", "a.hdr", "a.img.gz", "a.hdr.gz"])
def test_both_files_of_a_pair_count(tmp_path: Path, asked: str) -> None:
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    name = tmp_path / asked.replace("hdr", "img")
    keys = []
    for array, slope in ((voxels, 1), (voxels + 1, 1), (voxels, 2), (voxels, 1)):
        pair = nibabel.Nifti1Pair(array, np.eye(4))
        pair.header.set_slope_inter(slope, 0)
        pair.to_filename(name)
        keys.append(key_of(ScalarImage(tmp_path / asked)))
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


def test_two_volumes_of_one_file_are_two(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t1"], file["t2"] = VOXELS, VOXELS + 1
    sources = [Hdf5Source(tmp_path / "a.h5", name) for name in ("t1", "t2")]
    keys = [key_of(ScalarImage.from_source(source)) for source in sources]
    assert keys[0] != keys[1]


def write_slices(folder: Path, series: int) -> None:
    itk = pytest.importorskip("SimpleITK")
    for number in range(3):
        image = itk.GetImageFromArray(np.full((1, 4, 5), series, np.int16))
        tags = {"0020|000e": f"1.2.{series}", "0020|0032": f"0\\0\\{number}", "0008|0060": "MR"}
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer = itk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetFileName(str(folder / f"{series}-{number}.dcm"))
        writer.Execute(image)


def test_two_series_of_one_folder_are_two(tmp_path: Path) -> None:
    for series in (1, 2):
        write_slices(tmp_path, series)
    sources = [DicomSource(tmp_path, f"1.2.{series}") for series in (1, 2)]
    keys = [key_of(ScalarImage.from_source(source)) for source in sources]
    assert keys[0] != keys[1]


def test_levels_and_places_of_chunks_count(tmp_path: Path) -> None:
    path = Path(write_zarr(tmp_path / "a.zarr", VOXELS))
    before = key_of(ScalarImage(path))
    assert key_of(ScalarImage.from_source(ZarrSource(path))) == before
    array = zarr.create_array(
        str(tmp_path / "b.zarr"), shape=(8, 4, 4), dtype="i2", chunks=(4, 4, 4)
    )
    array[:4] = 7
    before = key_of(ScalarImage(tmp_path / "b.zarr"))
    chunks = tmp_path / "b.zarr" / "c"
    (chunks / "0").rename(chunks / "1")
    assert key_of(ScalarImage(tmp_path / "b.zarr")) != before


def read_ones(path: str) -> Any:
    return np.ones((1, 4, 5, 6)), None


def read_twos(path: str) -> Any:
    return np.full((1, 4, 5, 6), 2.0), None


def test_what_a_reader_gives_is_the_content_and_not_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.own").touch()
    images = [ScalarImage(tmp_path / "a.own", reader=reader) for reader in (read_ones, read_twos)]
    assert key_of(images[0]) != key_of(images[1])
