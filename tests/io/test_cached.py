import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import VolumeNotFoundError
from voxloom.geometry import Box
from voxloom.io import CachedSource, NiftiSource, write_nifti
from voxloom.testing._reader_contract import check_reader

BOX = Box((1, 0, 2), (4, 3, 5))


@pytest.fixture
def original(tmp_path: Path) -> NiftiSource:
    voxels = np.random.default_rng(0).integers(-9, 9, (4, 5, 6), np.int16)
    return NiftiSource(write_nifti(tmp_path / "original.nii.gz", voxels))


@pytest.fixture
def copy(tmp_path: Path, original: NiftiSource) -> NiftiSource:
    (tmp_path / "copies").mkdir()
    return NiftiSource(write_nifti(tmp_path / "copies" / "copy.nii", original.read()))


def test_it_keeps_the_contract_of_readers(original: NiftiSource, copy: NiftiSource) -> None:
    check_reader(CachedSource(copy, original))


def test_whoever_has_it_open_keeps_the_copy_when_it_is_removed(
    tmp_path: Path, original: NiftiSource, copy: NiftiSource
) -> None:
    source, expected = CachedSource(copy, original), original.read(BOX)
    shutil.rmtree(tmp_path / "copies")
    Path(original.path).unlink()
    np.testing.assert_array_equal(source.read(BOX), expected)


def test_pickled_it_reads_the_original_where_the_copy_is_gone(
    tmp_path: Path, original: NiftiSource, copy: NiftiSource
) -> None:
    data = pickle.dumps(CachedSource(copy, original))
    assert len(data) < 3000  # no voxels
    shutil.rmtree(tmp_path / "copies")
    np.testing.assert_array_equal(pickle.loads(data).read(BOX), original.read(BOX))


def test_what_was_let_go_of_is_held_again_once_it_is_read(
    tmp_path: Path, original: NiftiSource, copy: NiftiSource
) -> None:
    source, expected = CachedSource(copy, original), original.read(BOX)
    source.release()
    np.testing.assert_array_equal(source.read(BOX), expected)
    shutil.rmtree(tmp_path / "copies")
    Path(original.path).unlink()
    np.testing.assert_array_equal(source.read(BOX), expected)


def test_what_was_let_go_of_cannot_be_held_when_it_is_gone_and_is_read_from_the_original(
    tmp_path: Path, original: NiftiSource, copy: NiftiSource
) -> None:
    source = CachedSource(copy, original)
    source.release()
    assert source.copy_path == str(tmp_path / "copies" / "copy.nii")
    shutil.rmtree(tmp_path / "copies")
    with pytest.raises(VolumeNotFoundError, match=r"copy\.nii: there is no such file"):
        source.hold()
    np.testing.assert_array_equal(source.read(BOX), original.read(BOX))


def test_whoever_maps_the_copy_keeps_it_too_when_it_is_removed(
    tmp_path: Path, original: NiftiSource, copy: NiftiSource
) -> None:
    source, expected = CachedSource(copy, original), original.read()
    source.release()
    view = source.mapped()
    assert view is not None
    shutil.rmtree(tmp_path / "copies")
    Path(original.path).unlink()
    np.testing.assert_array_equal(view, expected)
    np.testing.assert_array_equal(source.read(), expected)
