from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ItkSource, NiftiSource, write_nifti
from voxloom.testing import check_reader

sitk = pytest.importorskip("SimpleITK")
VOXELS = np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7)
FLIPPED = np.array([[0, -2.5, 0, 9], [0.5, 0, 0, -4], [0, 0, -3, 20], [0, 0, 0, 1]])


def written_by_itk(nifti: str, name: Path) -> str:
    """ITK reads the NIfTI with its own code and writes another format."""
    sitk.WriteImage(sitk.ReadImage(nifti), str(name), False)
    return str(name)


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".mha", ".mhd"])
@pytest.mark.parametrize("which", ["oblique", "flipped"])
def test_affine_is_that_of_the_same_volume_in_nifti(
    tmp_path: Path, oblique: Any, suffix: str, which: str
) -> None:
    affine = oblique if which == "oblique" else FLIPPED
    nifti = write_nifti(tmp_path / "t1.nii", VOXELS, affine)
    source = ItkSource(written_by_itk(nifti, tmp_path / f"t1{suffix}"))
    np.testing.assert_allclose(source.affine, NiftiSource(nifti).affine, atol=1e-4)
    np.testing.assert_array_equal(source.read()[0], VOXELS)


def test_corners_lie_where_itk_says(tmp_path: Path, oblique: Any) -> None:
    path = written_by_itk(write_nifti(tmp_path / "a.nii", VOXELS, oblique), tmp_path / "a.nrrd")
    image, source = sitk.ReadImage(path), ItkSource(path)
    for index in [(0, 0, 0), (4, 5, 6), (4, 0, 3)]:
        left, back, up = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose((source.affine @ [*index, 1])[:3], (-left, -back, up), atol=1e-4)


@pytest.mark.parametrize(("name", "packed"), [("v.nrrd", False), ("v.mha", False), ("v.mha", True)])
def test_components_are_channels(tmp_path: Path, name: str, packed: bool) -> None:
    stored = np.stack([VOXELS, VOXELS + 1, VOXELS + 2])
    sitk.WriteImage(sitk.GetImageFromArray(stored.T, isVector=True), str(tmp_path / name), packed)
    source = ItkSource(tmp_path / name)
    np.testing.assert_array_equal(source.read(), stored)
    assert source.reads_regions is not packed


def test_a_fourth_axis_is_channels(tmp_path: Path) -> None:
    stored = np.stack([VOXELS, VOXELS + 1])
    image = sitk.GetImageFromArray(stored.transpose(0, 3, 2, 1), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "f.nrrd"))
    np.testing.assert_array_equal(ItkSource(tmp_path / "f.nrrd").read(), stored)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", ["v.nrrd", "v.mha", "v.mhd"])
def test_components_of_a_fourth_axis_are_channels_as_itk_reads_them(
    tmp_path: Path, name: str, packed: bool
) -> None:
    stored = np.arange(2 * 7 * 6 * 5 * 3, dtype=np.int16).reshape(2, 7, 6, 5, 3)
    path = str(tmp_path / name)
    sitk.WriteImage(sitk.GetImageFromArray(stored, isVector=True), path, packed)
    expected = stored.transpose(4, 0, 3, 2, 1).reshape(6, 5, 6, 7)  # component by component
    source = ItkSource(path)
    check_reader(source)
    np.testing.assert_array_equal(source.read(), expected)


def with_fields(path: Path, fields: str, end: bytes) -> str:
    """Add fields to a header, before `end`."""
    path.write_bytes(path.read_bytes().replace(end, fields.encode() + end, 1))
    return str(path)


@pytest.mark.parametrize(
    ("unit", "millimetres"), [("mm", 1), ("um", 1e-3), ("cm", 10), ("?", 1), ("", 1)]
)
@pytest.mark.parametrize("suffix", [".nrrd", ".mha", ".mhd"])
def test_lengths_become_millimetres(
    tmp_path: Path, oblique: Any, suffix: str, unit: str, millimetres: float
) -> None:
    path = tmp_path / f"a{suffix}"
    written_by_itk(write_nifti(tmp_path / "a.nii", VOXELS, oblique), path)
    if suffix == ".nrrd":
        with_fields(path, f'\nspace units: "{unit}" "{unit}" "{unit}"', b"\n\n")
    else:
        with_fields(path, f"DistanceUnits = {unit}\n", b"ElementDataFile")
    expected = np.diag([millimetres] * 3 + [1.0]) @ oblique
    np.testing.assert_allclose(ItkSource(path).affine, expected, rtol=1e-5, atol=1e-5)


def test_units_of_the_axes_count_where_a_nrrd_has_no_space(tmp_path: Path) -> None:
    header = (
        "NRRD0004\ntype: short\ndimension: 4\nsizes: 2 5 6 7\nkinds: vector domain domain domain\n"
        'spacings: nan 1 2 3\nunits: "" "um" "mm" "cm"\nendian: little\nencoding: raw\n\n'
    )
    voxels = np.stack([VOXELS, VOXELS + 1])
    (tmp_path / "a.nrrd").write_bytes(header.encode() + voxels.tobytes(order="F"))
    source = ItkSource(tmp_path / "a.nrrd")
    np.testing.assert_allclose(source.space.spacing, (1e-3, 2, 30))
    np.testing.assert_array_equal(source.read(), voxels)


def test_a_box_of_a_raw_file_is_a_view_of_a_map(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(tmp_path / "a.mha"), False)
    patch = ItkSource(tmp_path / "a.mha").read(Box((1, 1, 1), (3, 3, 3)))
    assert not patch.flags.owndata
    assert not patch.flags.writeable


def test_a_raw_file_that_is_cut_is_refused_when_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path), False)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(VolumeReadError, match=r"a\.nrrd: the header says 420 bytes of voxels"):
        ItkSource(path)


def test_a_packed_file_cannot_declare_more_than_it_unpacks_to(tmp_path: Path) -> None:
    path = tmp_path / "a.nrrd"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path), True)
    path.write_bytes(path.read_bytes().replace(b"sizes: 5 6 7", b"sizes: 50000 60000 70000"))
    with pytest.raises(VolumeReadError, match="declares 420000000000000 bytes"):
        ItkSource(path)


@pytest.mark.parametrize("axes", [b"3e9", b"-3", b"12", b""])
def test_axes_on_which_itk_crashes_are_refused(tmp_path: Path, axes: bytes) -> None:
    path = tmp_path / "a.mha"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path), True)
    path.write_bytes(path.read_bytes().replace(b"NDims = 3", b"NDims = " + axes))
    with pytest.raises(VolumeReadError, match=r"a\.mha: expected 2 to 4 axes, got NDims"):
        ItkSource(path)


def test_a_name_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mhd"
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path), False)
    path.write_bytes(path.read_bytes().replace(b"= a.raw", b"= a\0raw"))
    with pytest.raises(VolumeReadError, match=r"a\.mhd: says that its voxels lie in 'a.x00raw'"):
        ItkSource(path)


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image(4, 5, 6, sitk.sitkComplexFloat32), str(tmp_path / "a.nii"))
    with pytest.raises(UnknownFormatError, match=r"expected integers or floats, got .*complex"):
        ItkSource(tmp_path / "a.nii")


@pytest.mark.parametrize("true", ["True", "true", "T", "t", "1"])
def test_metaimage_says_yes_as_metaio_reads_it(tmp_path: Path, true: str) -> None:
    voxels = np.arange(24, dtype=">i2").reshape(2, 3, 4)
    fields = f"NDims = 3\nDimSize = 4 3 2\nElementType = MET_SHORT\nBinaryDataByteOrderMSB = {true}"
    end = b"ElementDataFile = LOCAL\n" + voxels.tobytes()
    path = tmp_path / "a.mha"
    path.write_bytes(b"ObjectType = Image\n" + fields.encode() + b"\n" + end)
    assert np.array_equal(ItkSource(path).read()[0].T, voxels)
    path.write_bytes(
        path.read_bytes()
        .replace(b"ElementDataFile", b"HeaderSize = -1\nElementDataFile", 1)
        .replace(b"LOCAL\n", b"LOCAL\n" + bytes(10), 1)
    )  # the voxels are the last bytes of the file
    assert np.array_equal(ItkSource(path).read()[0].T, voxels)


@pytest.mark.parametrize(
    ("fields", "before"),
    [
        ("byteskip: 2\n", b"ab"),
        ("byte skip: 2\n", b"ab"),
        ("lineskip: 1\n", b"a line\n"),
        ("endian:=big\n", b""),
        ("data file:=nothing\n", b""),
    ],
)
def test_a_nrrd_may_skip_and_tell_more(tmp_path: Path, fields: str, before: bytes) -> None:
    voxels = np.arange(24, dtype="<i2").reshape(2, 3, 4)
    head = "NRRD0004\ntype: short\ndimension: 3\nsizes: 4 3 2\nendian: little\nencoding: raw\n"
    path = tmp_path / "a.nrrd"
    path.write_bytes(f"{head}{fields}\n".encode() + before + voxels.tobytes())
    assert np.array_equal(ItkSource(path).read()[0].T, voxels)
