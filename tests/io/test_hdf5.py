from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.io import Hdf5Source

h5py = pytest.importorskip("h5py")
VOXELS = np.arange(4 * 5 * 6, dtype=">i2").reshape(4, 5, 6)


def test_the_affine_is_an_attribute(tmp_path: Path, oblique: np.ndarray) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images/t1"] = VOXELS
        file["images/t1"].attrs["affine"] = oblique
    source = Hdf5Source(tmp_path / "a.h5")
    np.testing.assert_array_equal(source.affine, oblique)
    np.testing.assert_array_equal(source.read()[0], VOXELS)
    assert (source.name, source.dtype) == ("images/t1", np.dtype("i2"))


def test_an_affine_that_is_none_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t1"] = VOXELS
        file.attrs["affine"] = np.zeros((4, 4))
    with pytest.raises(VolumeReadError, match=r"a\.h5: gives no usable affine"):
        Hdf5Source(tmp_path / "a.h5")


def test_one_of_several_must_be_chosen(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t1"], file["t2"], file["text"] = VOXELS, VOXELS + 1, "words"
    with pytest.raises(VolumeReadError, match="it holds several volumes, 't1', 't2'; choose one"):
        Hdf5Source(tmp_path / "a.h5")
    assert Hdf5Source(tmp_path / "a.h5", "t2").read()[0, 0, 0, 0] == 1
    with pytest.raises(VolumeReadError, match="there is no data set 't3' in it, it has 't1', 't2'"):
        Hdf5Source(tmp_path / "a.h5", "t3")


def test_a_file_without_volumes_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["text"] = "words"
    with pytest.raises(VolumeReadError, match="there is none in it"):
        Hdf5Source(tmp_path / "a.h5")


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["t1"] = VOXELS.astype(complex)
    with pytest.raises(UnknownFormatError, match="expected booleans, integers or floats"):
        Hdf5Source(tmp_path / "a.h5", "t1")


def test_a_damaged_group_is_refused_and_not_walked_for_ever(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "t1.h5", "w") as file:
        file.create_dataset("t1", data=VOXELS, chunks=(4, 4, 4), compression="gzip")
        file["t1"].attrs["affine"] = np.eye(4)
    content = (tmp_path / "t1.h5").read_bytes()
    inside = (
        content.index(b"TREE") + 14
    )  # found by fuzzing: the library's walk follows this for ever
    (tmp_path / "t1.h5").write_bytes(content[: inside + 72] + content[inside:])
    with pytest.raises(VolumeReadError, match=r"t1\.h5: h5py cannot read it"):
        Hdf5Source(tmp_path / "t1.h5")
