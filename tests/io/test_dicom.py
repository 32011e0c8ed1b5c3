from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import DicomSource, open_volume
from voxloom.testing._reader_contract import check_reader

sitk = pytest.importorskip("SimpleITK")
VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) - 50
COSINES = (0.6, -0.8, 0.0, 0.8, 0.6, 0.0)


def write_series(
    folder: Path, *, step: tuple[float, float, float] = (0, 0, 2.5), uid: str = "1"
) -> None:
    """Write slices whose names run against their places."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    folder.mkdir(exist_ok=True)
    for number in range(VOXELS.shape[2]):
        image = sitk.GetImageFromArray(VOXELS[:, :, number].T[None])
        image.SetSpacing((0.5, 0.75, 1.0))
        place = np.array([10.0, -20.0, 30.0]) + number * np.array(step)
        for tag, value in {
            "0008|0060": "CT",
            "0008|0018": f"1.2.{uid}.9.{number + 1}",
            "0020|000d": "1.2.3",
            "0020|000e": f"1.2.{uid}.4",
            "0020|0013": str(number),
            "0020|0032": "\\".join(map(str, place)),
            "0020|0037": "\\".join(map(str, COSINES)),
        }.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / f"{uid}-{90 - number}.dcm"))
        writer.Execute(image)


def test_a_folder_is_a_volume_in_the_order_of_places(tmp_path: Path) -> None:
    write_series(tmp_path / "ct")
    source = open_volume(tmp_path / "ct")
    check_reader(source)
    np.testing.assert_array_equal(source.read()[0], VOXELS)
    np.testing.assert_array_equal(source.read(Box((1, 2, 3), (4, 4, 5)))[0], VOXELS[1:4, 2:4, 3:5])


def test_affine_is_that_of_itk_for_a_straight_series(tmp_path: Path) -> None:
    write_series(tmp_path)
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image, source = sitk.ReadImage(files), DicomSource(tmp_path)
    for index in [(0, 0, 0), (4, 5, 6)]:
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((source.affine @ [*index, 1])[:3], (-left, -back, up), atol=1e-5)


def test_a_tilted_gantry_shears_the_affine(tmp_path: Path) -> None:
    write_series(tmp_path, step=(0.0, 0.5, 2.5))
    np.testing.assert_allclose(DicomSource(tmp_path).affine[:3, 2], (0, -0.5, 2.5), atol=1e-6)


def test_a_missing_slice_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path)
    (tmp_path / "1-87.dcm").unlink()
    with pytest.raises(VolumeReadError, match=r"6 slices are not evenly spaced, .* is missing"):
        DicomSource(tmp_path)


def test_one_of_several_series_must_be_chosen(tmp_path: Path) -> None:
    write_series(tmp_path, uid="1")
    write_series(tmp_path, uid="2")
    with pytest.raises(VolumeReadError, match="it holds 2 series"):
        DicomSource(tmp_path)
    assert DicomSource(tmp_path, "1.2.2.4").shape == (1, 5, 6, 7)
    with pytest.raises(VolumeReadError, match=r"there is no series '7' in it"):
        DicomSource(tmp_path, "7")


def test_a_folder_without_slices_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match="there is no DICOM file in this folder"):
        DicomSource(tmp_path)


@pytest.mark.parametrize("name", ["1-90.dcm", "1-87.dcm"])
@pytest.mark.parametrize("left", [0, 100, 400])
def test_a_slice_that_cannot_be_read_is_named_and_not_left_out(
    tmp_path: Path, name: str, left: int
) -> None:
    write_series(tmp_path)
    slice_ = tmp_path / name  # the first of the volume, and one between
    content = slice_.read_bytes()[:left]
    slice_.write_bytes(content)
    with pytest.raises(VolumeReadError, match=rf"{name}: is no DICOM slice that can be read"):
        DicomSource(tmp_path)
    slice_.rename(tmp_path / "slice")  # known by its mark, if that is left
    if left == 400:
        with pytest.raises(VolumeReadError, match=r"slice: is no DICOM slice that can be read"):
            DicomSource(tmp_path)


def test_what_is_no_slice_may_lie_beside_the_slices(tmp_path: Path) -> None:
    write_series(tmp_path)
    content = (tmp_path / "1-90.dcm").read_bytes()[:400]
    (tmp_path / "DICOMDIR").write_bytes(content)
    (tmp_path / "._1-90.dcm").write_bytes(b"what another system writes beside a file")
    (tmp_path / "notes.txt").write_text("seven slices")
    (tmp_path / "empty").mkdir()
    assert DicomSource(tmp_path).shape == (1, 5, 6, 7)
