import os
import re
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voxloom._errors import GeometryError, UnknownFormatError, VolumeReadError
from voxloom.io import NiftiSource, write_nifti
from voxloom.io._write import pieces_of

Array = np.ndarray[Any, Any]

DTYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")
angles = st.floats(-np.pi, np.pi, allow_subnormal=False)
spacings = st.floats(0.125, 8) | st.floats(-8, -0.125)


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (1, 5, 6, 7), (3, 5, 6, 7), (5, 6)])
@pytest.mark.parametrize("dtype", [*DTYPES, ">i2"])
def test_voxels_and_types_come_back(
    tmp_path: Path, oblique: Array, dtype: str, shape: tuple[int, ...], name: str
) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, shape).astype(dtype)
    path = write_nifti(tmp_path / name, voxels, oblique)
    source = NiftiSource(path)
    expected = voxels.astype(voxels.dtype.newbyteorder("=")).reshape(source.shape)
    np.testing.assert_array_equal(source.read(), expected, strict=True)
    np.testing.assert_allclose(source.affine, oblique, rtol=1e-6)
    theirs = np.asarray(nibabel.load(path).dataobj)
    if source.shape[0] > 1:
        theirs = np.moveaxis(theirs, -1, 0)
    np.testing.assert_array_equal(theirs.reshape(source.shape), expected, strict=True)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(turns=(0.0005294, 0.0, 0.0), spacing=(1.0, -1.0, 1.0))
@given(turns=st.tuples(angles, angles, angles), spacing=st.tuples(spacings, spacings, spacings))
def test_sform_and_qform_are_the_affine(
    tmp_path: Path,
    turns: tuple[float, float, float],
    spacing: tuple[float, float, float],
) -> None:
    (a, b, c), (d, e, f) = np.cos(turns), np.sin(turns)
    affine = np.eye(4)
    affine[:3, :3] = (
        np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
        @ np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
        @ np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
        * spacing
    )
    affine[:3, 3] = (-90, 126, -72)
    header = nibabel.load(write_nifti(tmp_path / "t1.nii", np.zeros((2, 3, 4)), affine)).header
    # NIfTI keeps no w: near half a turn, three float32 say where it points to 1.2 mrad only.
    kept = ((header.get_sform(coded=True), 1e-5), (header.get_qform(coded=True), 2.4e-3 * 8))
    for (matrix, code), tolerance in kept:
        assert code == 1
        np.testing.assert_allclose(matrix, affine, atol=tolerance)
    np.testing.assert_allclose(header.get_zooms(), np.abs(spacing), rtol=1e-6)
    assert header.get_xyzt_units()[0] == "mm"


def test_sheared_affine_has_no_qform(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.5
    path = write_nifti(tmp_path / "t1.nii", np.zeros((2, 3, 4)), affine)
    assert nibabel.load(path).header["qform_code"] == 0
    np.testing.assert_array_equal(NiftiSource(path).affine, affine)


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_order_does_not_matter(tmp_path: Path, order: str) -> None:
    voxels = np.asarray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), order=order)[:, ::-1]
    np.testing.assert_array_equal(
        NiftiSource(write_nifti(tmp_path / "t1.nii", voxels)).read()[0], voxels
    )


def test_booleans_become_uint8(tmp_path: Path) -> None:
    source = NiftiSource(write_nifti(tmp_path / "t1.nii", np.eye(4) > 0))
    assert source.dtype == np.uint8
    assert source.read().sum() == 4


def test_axes_too_long_for_nifti1_make_nifti2(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "t1.nii", np.ones((40_000, 1, 2), np.uint8))
    assert isinstance(nibabel.load(path), nibabel.Nifti2Image)
    assert NiftiSource(path).shape == (1, 40_000, 1, 2)


@pytest.mark.parametrize("dtype", ["f2", "c8", "O"])
def test_types_that_nifti_lacks_are_refused(tmp_path: Path, dtype: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"t1\.nii: NIfTI has no type .*convert the array"):
        write_nifti(tmp_path / "t1.nii", np.zeros((2, 3, 4), dtype))


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"t1\.mgz: NIfTI is written to \.nii or"):
        write_nifti(tmp_path / "t1.mgz", np.zeros((2, 3, 4)))


def test_arrays_and_affines_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeReadError, match=r"t1\.nii: expected an array \(W, H\)"):
        write_nifti(tmp_path / "t1.nii", np.zeros(4))
    with pytest.raises(GeometryError, match="an affine is a 4x4 matrix"):
        write_nifti(tmp_path / "t1.nii", np.zeros((2, 3, 4)), np.eye(3))
    assert not list(tmp_path.iterdir())


def test_file_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_nifti(tmp_path / "t1.nii", np.ones((2, 3, 4)))

    def fail(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match=re.escape("No space left on device")):
        write_nifti(path, np.zeros((2, 3, 4)))
    assert [found.name for found in tmp_path.iterdir()] == ["t1.nii"]
    assert NiftiSource(path).read().min() == 1


@pytest.mark.parametrize("count", [0, 1, 2**21 - 352, 2**21 - 351, 5 * 2**20])
def test_a_file_is_written_in_pieces_that_begin_at_large_pages(count: int) -> None:
    stored = np.random.default_rng(0).integers(0, 256, count, np.uint8)
    pieces = list(pieces_of(bytes(352), stored.data))
    assert b"".join(pieces) == bytes(352) + stored.tobytes()
    assert {len(piece) for piece in pieces[:-1]} <= {2**21}
    assert 0 < len(pieces[-1]) <= 2**21
