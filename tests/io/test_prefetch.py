import os
from pathlib import Path

import numpy as np
import pytest

from voxloom.geometry import Box
from voxloom.io import (
    ArraySource,
    CachedSource,
    NiftiSource,
    PreparedSource,
    VolumeSource,
    write_nifti,
    write_reversed,
)
from voxloom.io._prefetch import prefetch_box

SHAPE = (20, 30, 40)
BOX = Box((3, 4, 5), (9, 14, 25))
FILE_BOX = Box(BOX.index_ini[::-1], BOX.index_fin[::-1])


@pytest.fixture
def volume(tmp_path: Path) -> str:
    np.arange(20 * 30 * 40, dtype=np.int16).tofile(tmp_path / "raw")
    return str(tmp_path / "raw")


def test_only_the_spans_of_the_box_are_asked_for(
    volume: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr("voxloom.io._prefetch._is_resident", lambda file, start: False)
    monkeypatch.setattr(os, "posix_fadvise", lambda file, a, n, advice: asked.append((a, n)))
    assert prefetch_box(volume, FILE_BOX, spatial_shape=SHAPE[::-1], offset=0, itemsize=2)
    numbers = np.arange(20 * 30 * 40).reshape(SHAPE)[BOX.slices]
    assert [a for a, _ in asked] == (2 * numbers[:, 0, 0]).tolist()
    assert [a + n for a, n in asked] == (2 * numbers[:, -1, -1] + 2).tolist()


def test_what_is_in_memory_is_not_asked_for(volume: str) -> None:
    Path(volume).read_bytes()
    assert not prefetch_box(volume, FILE_BOX, spatial_shape=SHAPE[::-1], offset=0, itemsize=2)


def test_a_file_that_is_gone_is_left_to_the_reader(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    assert not prefetch_box(gone, FILE_BOX, spatial_shape=SHAPE[::-1], offset=0, itemsize=2)


@pytest.mark.parametrize("kind", ["prepared", "cached"])
def test_copies_that_are_mapped_are_asked_for_in_the_order_of_their_file(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxels = np.arange(20 * 30 * 40, dtype=np.int16).reshape(1, *SHAPE)
    path = str(tmp_path / "t1.nii")
    source: VolumeSource
    if kind == "prepared":
        source = PreparedSource(write_reversed(path, voxels, np.eye(4)))
        order = (0, 1, 2)
    else:
        source = CachedSource(NiftiSource(write_nifti(path, voxels)), ArraySource(voxels))
        order = (2, 1, 0)
    asked: list[int] = []
    monkeypatch.setattr("voxloom.io._prefetch._is_resident", lambda file, start: False)
    monkeypatch.setattr(os, "posix_fadvise", lambda file, a, n, advice: asked.append(a))
    assert (source.read(BOX) == voxels[(slice(None), *BOX.slices)]).all()
    stored = np.memmap(path, np.int16, "r", offset=352).reshape([SHAPE[axis] for axis in order])
    firsts = voxels[(0, *BOX.slices)].transpose(order)[:, 0, 0]
    assert stored.reshape(-1)[(np.array(asked) - 352) // 2].tolist() == firsts.tolist()
