from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    np.testing.assert_array_equal(read_array(f"{path}/0", 3, "", places), VOXELS[places])


def test_an_oblique_affine_is_kept_whole(tmp_path: Path, oblique: np.ndarray) -> None:
    path = write_zarr(tmp_path / "t1.zarr", VOXELS, oblique)
    np.testing.assert_array_equal(ZarrSource(path).affine, oblique)


def test_shards_without_voxels_are_not_written(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "t1.zarr", np.zeros((9, 9, 9), np.uint8))
    assert not (Path(path) / "0" / "c").exists()
    assert not ZarrSource(path).read().any()


sides = st.integers(1, 600)


@given(
    st.tuples(sides, sides, sides), st.tuples(sides, sides, sides), st.sampled_from([1, 2, 4, 8])
)
def test_chunks_suit_the_patch_the_shape_and_the_type(
    patch: tuple[int, int, int], shape: tuple[int, int, int], itemsize: int
) -> None:
    chunk = chunk_for(patch, shape, itemsize)
    chunk_bytes = int(np.prod(chunk)) * itemsize
    assert chunk_bytes <= 128 << 10
    for length, there in zip(chunk, shape, strict=True):
        assert length in (1, 2, 4, 8, 16, 32, 64)
        assert length < 2 * there
    limits = [min(64, 1 << (n - 1).bit_length()) for n in shape]
    assert chunk_bytes >= 32 << 10 or list(chunk) == limits


def test_what_is_prepared_for_cubes_of_96_has_chunks_of_32() -> None:
    assert [chunk_for((96, 96, 96), (512, 512, 400), n) for n in (1, 2, 4)] == [(32, 32, 32)] * 3
    assert chunk_for((192, 192, 16), (512, 512, 30)) == (64, 64, 8)


def test_chunks_may_differ_along_the_axes(tmp_path: Path) -> None:
    source = ZarrSource(write_zarr(tmp_path / "t1.zarr", VOXELS, chunk=(16, 32, 8)))
    assert source.chunk_shape == (16, 32, 8)
    np.testing.assert_array_equal(source.read(), VOXELS)
    np.testing.assert_array_equal(zarr.open_group(source.path)["0"][...], VOXELS)
