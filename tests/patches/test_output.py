"""Outputs of any kind take the same boxes, and their blocks cover them once."""

import numpy as np
import pytest
import torch
import zarr

from voxloom.patches import _output
from voxloom.patches._output import clear, open_output

SHAPE = (2, 5, 6, 7)
BOX = (slice(1, 4), slice(0, 6), slice(2, 7))


def make_array(kind, folder):
    if kind == "tensor":
        return torch.ones(SHAPE)
    if kind == "array":
        return np.ones(SHAPE, dtype=np.float32)
    if kind == "memmap":
        array = np.memmap(folder / "volume", dtype=np.float32, mode="w+", shape=SHAPE)
    else:
        array = zarr.create_array(
            folder / "volume.zarr", shape=SHAPE, chunks=(1, 2, 3, 4), dtype="float32"
        )
    array[...] = 1
    return array


@pytest.fixture(params=["tensor", "array", "memmap", "zarr"])
def array(request, tmp_path):
    return make_array(request.param, tmp_path)


def test_writing_changes_the_box_and_nothing_else(array):
    voxels = torch.rand(2, 3, 6, 5)
    open_output(array).write(BOX, voxels)
    expected = np.ones(SHAPE, dtype=np.float32)
    expected[(slice(None), *BOX)] = voxels
    assert np.array_equal(np.asarray(array[:]), expected)


def test_editing_in_place_is_stored(array):
    with open_output(array).edit(BOX) as voxels:
        voxels += 1
    expected = np.ones(SHAPE, dtype=np.float32)
    expected[(slice(None), *BOX)] = 2
    assert np.array_equal(np.asarray(array[:]), expected)


def test_blocks_cover_every_voxel_once(array, monkeypatch):
    monkeypatch.setattr(_output, "BLOCK_VOXELS", 100)
    seen = np.zeros(SHAPE[1:], dtype=int)
    blocks = list(open_output(array).blocks())
    for where in blocks:
        seen[where] += 1
    assert (seen == 1).all()
    assert len(blocks) > 1


def test_blocks_of_a_chunked_store_are_its_chunks_or_shards(tmp_path):
    chunked = make_array("zarr", tmp_path)
    assert next(iter(open_output(chunked).blocks())) == (slice(0, 2), slice(0, 3), slice(0, 4))
    sharded = zarr.create_array(
        tmp_path / "s.zarr", shape=SHAPE, chunks=(1, 1, 3, 4), shards=(2, 4, 6, 8), dtype="uint8"
    )
    assert next(iter(open_output(sharded).blocks())) == (slice(0, 4), slice(0, 6), slice(0, 7))


def test_clearing_sets_every_voxel_to_zero(array):
    output = open_output(array)
    clear(output)
    assert not np.asarray(array[:]).any()
    assert torch.equal(output.whole(), torch.zeros(SHAPE))


def test_an_output_knows_its_channels_and_dtype(array):
    output = open_output(array)
    assert output.channels == 2
    assert output.dtype == torch.float32
