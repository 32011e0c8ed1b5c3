import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ZarrSource, write_zarr
from voxloom.io._zarr_chunks import crc32c

pytest.importorskip("numcodecs")
SHAPE = (45, 33, 70)
VOXELS = np.random.default_rng(0).integers(-9, 99, SHAPE).astype(np.int16)
VOXELS[:32, :32, :32] = 0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> ZarrSource:
    return ZarrSource(write_zarr(tmp_path_factory.mktemp("zarr") / "a.zarr", VOXELS, chunk=16))


@given(st.tuples(*(st.integers(0, n - 1) for n in SHAPE)), st.data())
def test_any_box_holds_what_was_written(
    source: ZarrSource, ini: tuple[int, int, int], data: st.DataObject
) -> None:
    i, j, k = (data.draw(st.integers(a + 1, n)) for a, n in zip(ini, SHAPE, strict=True))
    box = Box(ini, (i, j, k))
    np.testing.assert_array_equal(source.read(box)[0], VOXELS[box.slices])


def test_a_damaged_index_is_found(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", VOXELS, chunk=16)
    shard = max((file for file in Path(path).rglob("*")), key=lambda file: file.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(VolumeReadError, match="checksum of the shard's index does not match"):
        ZarrSource(path).read()


def test_a_chunk_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = write_zarr(tmp_path / "a.zarr", VOXELS + 1, chunk=16)
    shard = max((file for file in Path(path).rglob("*")), key=lambda file: file.stat().st_size)
    content = bytearray(shard.read_bytes())
    content[4:8] = (2**31).to_bytes(4, "little")
    shard.write_bytes(content)
    with pytest.raises(VolumeReadError, match="unpacks to 2147483648, not to 8192"):
        ZarrSource(path).read()


def test_the_checksum_is_castagnolis() -> None:
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_neighbouring_chunks_of_a_shard_are_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.random.default_rng(0).integers(1, 999, (1, 24, 24, 40)).astype(np.int16)
    voxels[0, 8:16, :, 16:24] = 0  # a chunk that is not there parts its neighbours
    source = ZarrSource(write_zarr(tmp_path / "a.zarr", voxels, chunk=8))
    reads: list[int] = []
    preadv = os.preadv

    def counted(file: int, buffers: Any, offset: int) -> int:
        reads.append(offset)
        return preadv(file, buffers, offset)

    monkeypatch.setattr("voxloom.io._zarr_chunks.are_resident", lambda file, places: False)
    monkeypatch.setattr(os, "preadv", counted)
    whole = source.read()
    np.testing.assert_array_equal(whole, voxels)
    assert len(reads) < 10  # of 75 chunks


def test_what_is_in_memory_is_not_read_but_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.random.default_rng(0).integers(1, 999, (1, 24, 24, 40)).astype(np.int16)
    voxels[0, 8:16, :, 16:24] = 0
    source = ZarrSource(write_zarr(tmp_path / "a.zarr", voxels, chunk=8))

    def unexpected(file: int, spans: Any) -> Any:
        raise AssertionError("read what is in memory")

    monkeypatch.setattr("voxloom.io._zarr_chunks.are_resident", lambda file, places: True)
    monkeypatch.setattr("voxloom.io._zarr_chunks._read_spans", unexpected)
    np.testing.assert_array_equal(source.read(), voxels)
    box = Box((3, 5, 7), (20, 9, 33))
    np.testing.assert_array_equal(source.read(box), voxels[(slice(None), *box.slices)])
