import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError
from voxloom.io import (
    ArraySource,
    NibabelSource,
    NiftiSource,
    NpySource,
    ReaderSource,
    _registry,
    known_suffixes,
    open_volume,
    register_reader,
    write_nifti,
)

Array = np.ndarray[Any, Any]
Save = Callable[..., str]


@pytest.fixture
def openers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_registry, "_openers", dict(_registry._openers))


@pytest.mark.parametrize("name", ["t1.nii", "t1.NII", "t1.nii.gz", "t1.NII.GZ", "a.b.Nii.gz"])
def test_suffixes_count_in_any_case(tmp_path: Path, name: str) -> None:
    path = write_nifti(tmp_path / name, np.zeros((4, 5, 6)))
    assert isinstance(open_volume(path), NiftiSource)
    assert open_volume(Path(path)).path == path


def test_npy(tmp_path: Path) -> None:
    np.save(tmp_path / "t1.npy", np.zeros((4, 5, 6)))
    assert isinstance(open_volume(tmp_path / "t1.npy"), NpySource)


@pytest.mark.parametrize("name", ["t1.hdr", "t1.img"])
def test_pairs_are_nifti_or_analyze(save: Save, voxels: Array, name: str) -> None:
    path = Path(save(voxels, "t1.img", nibabel.Nifti1Pair)).with_name(name)
    assert isinstance(open_volume(path), NiftiSource)
    save(voxels, "t1.img", nibabel.AnalyzeImage, np.diag([-1, 1, 1, 1]))
    source = open_volume(path)
    assert isinstance(source, NibabelSource)
    np.testing.assert_array_equal(source.read()[0], voxels, strict=True)


def test_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = write_nifti(tmp_path / "t1.nii", np.zeros((4, 5, 6)))
    assert open_volume("~/t1.nii").path == path


def test_unknown_suffix_names_what_is_known(tmp_path: Path) -> None:
    path = tmp_path / "t1.xyz"
    path.touch()
    message = rf"{re.escape(str(path))}: no reader is known .*\.nii, \.nii\.bz2, .*pass reader="
    with pytest.raises(UnknownFormatError, match=message):
        open_volume(path)


@pytest.mark.parametrize("name", ["t1.xyz", "t1.nii", "t1.npy", "t1.hdr", "t1.mgz"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(VolumeNotFoundError, match=re.escape(f"{name}: there is no such file")):
        open_volume(tmp_path / name)


def test_reader_wins_over_the_suffix(tmp_path: Path) -> None:
    source = open_volume(tmp_path / "t1.nii", reader=lambda path: (np.ones((4, 5)), None))
    assert isinstance(source, ReaderSource)


@pytest.mark.usefixtures("openers")
def test_registered_suffix_is_opened_the_longest_first() -> None:
    register_reader(".One.XYZ", lambda path: ArraySource(np.ones((1, 1, 1, 1)), path=path))
    register_reader(".xyz", lambda path: ArraySource(np.ones((2, 1, 1, 1)), path=path))
    assert open_volume("t1.one.xyz").shape[0] == 1
    assert open_volume("t1.two.XYZ").shape[0] == 2


@pytest.mark.parametrize("suffix", ["nrrd", "", "."])
def test_suffix_without_a_dot_is_refused(suffix: str) -> None:
    with pytest.raises(ValueError, match=f"begins with a dot, such as '.nrrd', got '{suffix}'"):
        register_reader(suffix, NiftiSource)


def test_file_of_another_format_under_our_suffix(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii"
    path.write_bytes(b"\x89PNG and so on" * 100)
    with pytest.raises(VolumeReadError, match=r"t1\.nii: expected a NIfTI header, .* reader="):
        open_volume(path)


def test_reading_nifti_imports_neither_torch_nor_nibabel(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "t1.nii.gz", np.zeros((4, 5, 6)))
    script = (
        f"import sys, voxloom.io; voxloom.io.open_volume({path!r}).read();"
        "print([name for name in ('torch', 'nibabel') if name in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True
    )
    assert run.stdout == "[]\n"


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp"])
def test_a_picture_is_a_slice_with_colours_as_channels(tmp_path: Path, suffix: str) -> None:
    itk = pytest.importorskip("SimpleITK")
    rows = np.full((6, 5, 3), [250, 40, 10], dtype=np.uint8)  # flat, so that JPEG loses little
    itk.WriteImage(itk.GetImageFromArray(rows, isVector=True), str(tmp_path / f"a.{suffix}"))
    source = open_volume(tmp_path / f"a.{suffix}")
    assert (source.shape, source.dtype) == ((3, 5, 6, 1), np.dtype(np.uint8))
    np.testing.assert_allclose(source.read()[:, 2, 3, 0], [250, 40, 10], atol=3)
    np.testing.assert_array_equal(source.affine, np.diag([-1, -1, 1, 1]))


def test_pictures_are_not_taken_for_the_volumes_of_a_folder() -> None:
    assert not {".png", ".jpg"} & set(known_suffixes())
