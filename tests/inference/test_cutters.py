"""Cutting batches: the same patches on the CPU and where the network is."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from voxloom import ScalarImage
from voxloom.inference import _cutters
from voxloom.inference._cutters import DeviceCutter, HostCutter, choose_cutter
from voxloom.inference._tiling import order_of, plan_tiles


@pytest.fixture
def images(tmp_path: Path) -> list[ScalarImage]:
    rng = np.random.default_rng(0)
    voxels = rng.integers(-500, 500, (19, 14, 11), dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), tmp_path / "ct.nii.gz")
    return [
        ScalarImage(tmp_path / "ct.nii.gz"),
        ScalarImage(tensor=rng.random((2, 19, 14, 11), dtype=np.float32)),
    ]


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", -3.5])
@pytest.mark.parametrize(("size", "border", "stride"), [(8, 3, 1), ((24, 8, 12), 0, 4)])
def test_both_cut_the_same_patches(
    images: list[ScalarImage], mode: Any, size: Any, border: int, stride: int
) -> None:
    grid = plan_tiles((19, 14, 11), size, 0.25, border, stride)
    places = order_of(grid.counts, 0)
    expected, _ = HostCutter(images, grid, mode).cut(places)
    batch, same = DeviceCutter(images, grid, mode, torch.device("cpu")).cut(places)
    assert same == places
    assert batch.shape == (len(places), 3, *grid.patch_size)
    assert torch.equal(batch, expected)


def test_slabs_do_not_change_what_is_cut(
    images: list[ScalarImage], monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = plan_tiles((19, 14, 11), 8, 0.5, 2, 1)
    places = order_of(grid.counts, 0)
    expected, _ = HostCutter(images, grid, "reflect").cut(places)
    monkeypatch.setattr(_cutters, "_SLAB_VOXELS", 1)
    batch, _ = DeviceCutter(images, grid, "reflect", torch.device("cpu")).cut(places)
    assert torch.equal(batch, expected)


def test_on_the_cpu_the_volume_is_not_copied_as_a_whole(images: list[ScalarImage]) -> None:
    grid = plan_tiles((19, 14, 11), 8, 0.5, 0, 1)
    assert isinstance(choose_cutter(images, grid, "constant", torch.device("cpu"), 0), HostCutter)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("share", [0.25, 0.0])
def test_on_a_gpu_the_volume_goes_there_if_there_is_room(
    images: list[ScalarImage], monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    grid = plan_tiles((19, 14, 11), 8, 0.5, 0, 1)
    places = order_of(grid.counts, 0)
    monkeypatch.setattr(_cutters, "_DEVICE_SHARE", share)
    cutter = choose_cutter(images, grid, "constant", torch.device("cuda"), 0)
    assert isinstance(cutter, DeviceCutter if share else HostCutter)
    expected, _ = HostCutter(images, grid, "constant").cut(places)
    assert torch.equal(cutter.cut(places)[0].cpu(), expected)
