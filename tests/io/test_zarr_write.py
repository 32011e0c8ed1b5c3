from pathlib import Path

import numpy as np
import pytest

from voxloom.io import ZarrSource, chunk_for, write_zarr

zarr = pytest.importorskip("zarr")
VOXELS = np.random.default_rng(0).integers(-9, 99, (2, 35, 40, 50)).astype(np.int16)


@pytest.mark.parametrize("labels", [False, True])
def test_zarr_python_reads_the_same_voxels(tmp_path: Path, labels: bool) -> None:
    path = write_zarr(tmp_path / "t1.zarr", VOXELS, chunk=16, labels=labels)
    np.testing.assert_array_equal(zarr.open_group(path)["0"][...], VOXELS)


def test_tensorstore_reads_the_same_voxels(tmp_path: Path) -> None:
    pytest.importorskip("tensorstore")
    from voxloom.io._tensorstore import read_array

    path = write_zarr(tmp_path / "t1.zarr", VOXELS, chunk=16)
    places = (slice(0, 2), slice(3, 30), slice(5, 40), slice(0, 50))
    np.testing.assert_array_equal(read_array(f"{path}/0", 3, places), VOXELS[places])


def test_an_oblique_affine_is_kept_whole(tmp_path: Path, oblique: np.ndarray) -> None:
    path = write_zarr(tmp_path / "t1.zarr", VOXELS, oblique)
    np.testing.assert_array_equal(ZarrSource(path).affine, oblique)


def test_shards_without_voxels_are_not_written(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "t1.zarr", np.zeros((9, 9, 9), np.uint8))
    assert not (Path(path) / "0" / "c").exists()
    assert not ZarrSource(path).read().any()


def test_chunks_follow_the_patch() -> None:
    assert [chunk_for((n, n, n)) for n in (16, 96, 400)] == [16, 32, 64]
