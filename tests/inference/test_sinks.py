"""Where outputs go."""

from pathlib import Path

import numpy as np
import pytest
import torch
import zarr

from voxloom.inference._sinks import open_sink, sweep_axis
from voxloom.io import open_volume

SHAPE = (130, 9, 7)


@pytest.mark.parametrize("name", [None, "a.nii", "a.nii.gz", "a.zarr"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8, torch.int64])
def test_every_sink_keeps_what_it_is_given(
    tmp_path: Path, name: str | None, dtype: torch.dtype
) -> None:
    out = None if name is None else tmp_path / name
    axis = sweep_axis([out])
    sink = open_sink(out, axis, SHAPE, np.diag([2.0, 1.0, 1.0, 1.0]))
    voxels = torch.arange(2 * 130 * 9 * 7).reshape(2, *SHAPE).to(dtype)
    for first in range(0, SHAPE[axis], sink.thickness):
        length = min(sink.thickness, SHAPE[axis] - first)
        sink.write(first, voxels.narrow(1 + axis, first, length))
    image = sink.finish()
    assert np.array_equal(image.read(), voxels.numpy())
    assert image.spacing == (2.0, 1.0, 1.0)


def test_a_store_replaces_what_was_there(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", shape=(3, 3, 3), dtype="int16")
    sink = open_sink(tmp_path / "a.zarr", 0, (4, 4, 4), np.eye(4))
    sink.write(0, torch.ones(1, 4, 4, 4))
    sink.finish()
    assert open_volume(tmp_path / "a.zarr").shape == (1, 4, 4, 4)


def test_masks_become_bytes_in_nifti(tmp_path: Path) -> None:
    sink = open_sink(tmp_path / "a.nii", 2, (4, 4, 4), np.eye(4))
    sink.write(0, torch.ones(1, 4, 4, 4, dtype=torch.bool))
    assert sink.finish().dtype == np.uint8
