"""Slices that are read without ITK hold what ITK gives."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dicom_files import MR, dicom_bytes, element, write_series

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import DicomSource, _dicom, open_volume
from voxloom.testing import check_reader

sitk = pytest.importorskip("SimpleITK")
RNG = np.random.default_rng(0)
BOX = Box((1, 2, 1), (5, 4, 3))


def noise(dtype: str, shape: tuple[int, ...] = (5, 6, 4)) -> np.ndarray[Any, Any]:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def by_itk(folder: Path) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return ``(W, H, D)`` voxels of each slice as ITK decodes it, and its affine of the series."""
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))
    slices = [sitk.GetArrayFromImage(sitk.ReadImage(file))[0].T for file in files]
    image = sitk.ReadImage(files)
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    lps[:3, 3] = image.GetOrigin()
    return np.stack(slices, axis=-1), np.diag([-1, -1, 1, 1]) @ lps


def check_as_itk(folder: Path) -> DicomSource:
    voxels, affine = by_itk(folder)
    source = DicomSource(folder)
    np.testing.assert_array_equal(source.read()[0], voxels, strict=True)
    np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices], strict=True)
    np.testing.assert_allclose(source.affine, affine, atol=1e-5)
    return source


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("i2", {}),
        ("u2", {"syntax": "implicit"}),
        ("i2", {"syntax": "big"}),
        ("u1", {}),
        ("i1", {"syntax": "implicit"}),
        ("i2", {"scaling": ("1", "-1024")}),
        ("u2", {"scaling": ("3", "-70000"), "syntax": "big"}),
        ("i2", {"scaling": ("0.1", "-7.25")}),
        ("u1", {"scaling": ("-2", "0")}),
        ("u2", {"stored_bits": 12}),
        ("i2", {"stored_bits": 12, "scaling": ("1", "-1024")}),
        ("i2", {"scaling": ("2.5", "1"), "sop_class": MR}),
        ("i2", {"scaling": [("1", "0"), ("0.5", "3"), ("2", "-9"), ("1", "0")]}),
    ],
)
def test_plain_slices_are_read_by_region_as_itk_reads_them(
    tmp_path: Path, dtype: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(tmp_path, noise(dtype), **options)
    monkeypatch.setattr(_dicom, "decode_itk", None)  # it is not called
    source = check_as_itk(tmp_path)
    assert source.reads_regions
    check_reader(source, boxes=5)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("u1", {"syntax": "big"}),
        ("i4", {}),
        ("u2", {"colours": "MONOCHROME1"}),
        ("u2", {"scaling": ("0", "1")}),
        ("u2", {"scaling": ("nan", "1")}),
        ("u2", {"sop_class": "1.2.840.10008.5.1.4.1.1.481.2"}),
    ],
)
def test_what_is_not_plainly_that_is_left_to_itk(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    write_series(tmp_path, noise(dtype), **options)
    assert not check_as_itk(tmp_path).reads_regions


def test_compressed_slices_are_left_to_itk(tmp_path: Path) -> None:
    voxels = RNG.integers(0, 99, (64, 64, 3)).astype(np.int16)
    write_series(tmp_path, voxels)
    for file in tmp_path.iterdir():
        image = sitk.ReadImage(str(file))
        writer = sitk.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.UseCompressionOn()
        writer.SetFileName(str(file))
        writer.Execute(image)
    source = check_as_itk(tmp_path)
    assert not source.reads_regions
    np.testing.assert_array_equal(source.read()[0], voxels)


@pytest.mark.parametrize("cosines", [(0.48, 0.64, 0.6, -0.8, 0.6, 0.0), (-1, 0, 0, 0, 1, 0)])
def test_oblique_and_flipped_series_lie_where_itk_says(
    tmp_path: Path, cosines: tuple[float, ...]
) -> None:
    voxels = noise("i2")
    write_series(tmp_path, voxels, cosines=cosines)
    assert check_as_itk(tmp_path).reads_regions


def test_frames_of_one_file_are_slices(tmp_path: Path) -> None:
    voxels = noise("i2")
    (tmp_path / "frames").write_bytes(dicom_bytes(voxels.T, scaling=("1", "-10")))
    source = open_volume(tmp_path)
    assert source.reads_regions
    expected = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "frames"))).T
    np.testing.assert_array_equal(source.read()[0], expected, strict=True)
    np.testing.assert_array_equal(source.read(BOX)[0], expected[BOX.slices], strict=True)


def test_a_queue_cuts_patches_from_the_slices_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = noise("i2", (16, 15, 14))
    write_series(tmp_path, voxels)
    monkeypatch.setattr(_dicom, "decode_itk", None)
    dataset = SubjectsDataset([Subject(t1=ScalarImage(tmp_path))])
    assert not dataset.dry_iter()[0]["t1"].is_packed
    with Queue(dataset, 4, 4, UniformSampler(4)) as queue:
        for patch in queue:
            i, j, k, *_ = patch["location"].tolist()
            expected = voxels[i : i + 4, j : j + 4, k : k + 4]
            np.testing.assert_array_equal(patch["t1"]["data"][0], expected)


def test_each_of_several_series_is_read_by_region(tmp_path: Path) -> None:
    first, second = noise("i2"), noise("u2")
    write_series(tmp_path, first)
    write_series(tmp_path, second, series="1.2.3.5")
    for series, voxels in {"1.2.3.4": first, "1.2.3.5": second}.items():
        source = DicomSource(tmp_path, next(n for n in series_in(tmp_path) if series in n))
        assert source.reads_regions
        np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices])


def series_in(folder: Path) -> tuple[str, ...]:
    return tuple(sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)))


def test_a_box_opens_the_slices_that_it_touches(tmp_path: Path) -> None:
    voxels = noise("i2")
    write_series(tmp_path, voxels)
    source = DicomSource(tmp_path)
    for number in (0, 3):
        Path(source.files[number]).unlink()
    np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices])
    with pytest.raises(FileNotFoundError, match=r"-90\.dcm: there is no such file"):
        source.read()


def test_a_slice_that_is_cut_is_named_when_it_is_opened(tmp_path: Path) -> None:
    write_series(tmp_path, noise("i2"))
    file = tmp_path / "1.2.3.4-88.dcm"
    whole = file.read_bytes()
    file.write_bytes(whole[:-8])
    with pytest.raises(VolumeReadError, match=r"-88\.dcm: is no DICOM slice that can be read"):
        DicomSource(tmp_path)


def test_a_slice_that_says_it_is_larger_is_named_before_memory_is_had(tmp_path: Path) -> None:
    rows, claimed = (
        element(0x00280010, "US", number.to_bytes(2, "little")) for number in (6, 60000)
    )
    content = dicom_bytes(noise("i2")[:, :, 0].T)
    assert content.count(rows) == 1
    (tmp_path / "1.dcm").write_bytes(content.replace(rows, claimed))
    with pytest.raises(VolumeReadError, match=r"1\.dcm: .*600000 bytes of voxels, the file has 60"):
        DicomSource(tmp_path)


def test_a_slice_that_changes_its_size_is_named_when_it_is_read(tmp_path: Path) -> None:
    write_series(tmp_path, noise("i2"))
    source = DicomSource(tmp_path)
    file = tmp_path / "1.2.3.4-88.dcm"
    file.write_bytes(file.read_bytes()[:-8])
    with pytest.raises(VolumeReadError, match=r"-88\.dcm: had \d+ bytes when its header was read"):
        source.read()
