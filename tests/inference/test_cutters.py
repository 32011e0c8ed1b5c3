"""Cutting batches: the same patches on the CPU and where the network is."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom import ScalarImage
from voxloom.geometry import Box
from voxloom.inference import _cutters
from voxloom.inference._cutters import (
    Buffers,
    DeviceCutter,
    HostCutter,
    SlabCutter,
    choose_cutter,
    move_planes,
)
from voxloom.inference._tiling import order_of, plan_tiles
from voxloom.patches import Grid

CPU = torch.device("cpu")
LENGTHS = st.tuples(*[st.integers(1, 11)] * 3)
SIZES = st.tuples(*[st.integers(3, 8)] * 3)


def in_memory(shape: Any, dtype: Any, order: Any, channels: int, seed: int = 0) -> ScalarImage:
    rng = np.random.default_rng(seed)
    voxels = rng.integers(-9, 9, (channels, *shape)).astype(dtype)
    return ScalarImage(tensor=np.asarray(voxels, order=order))


def cut_by_hand(images: list[ScalarImage], grid: Grid, mode: Any, places: Any) -> torch.Tensor:
    """Cut patches out of the whole volume, which NumPy pads."""
    padding: dict[str, Any] = {"mode": mode} if mode in ("edge", "reflect") else {
        "mode": "constant", "constant_values": 0 if mode == "constant" else mode,
    }  # fmt: skip
    extent = [int(grid.positions(axis)[-1]) + grid.patch_size[axis] for axis in range(3)]
    sides = [
        (before, max(reach - before - length, 0))
        for before, reach, length in zip(grid.border, extent, grid.spatial_shape, strict=True)
    ]
    voxels = np.concatenate([image.array.astype(np.float32) for image in images])
    whole = np.pad(voxels, [(0, 0), *sides], **padding)
    boxes = []
    for place in places:
        first = [int(grid.positions(axis)[n]) for axis, n in enumerate(place)]
        boxes.append(tuple(slice(a, a + n) for a, n in zip(first, grid.patch_size, strict=True)))
    return torch.from_numpy(np.stack([whole[(slice(None), *box)] for box in boxes]))


@settings(deadline=None, max_examples=80)
@given(
    shape=LENGTHS,
    size=SIZES,
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.8]),
    border=st.integers(0, 5),
    axis=st.sampled_from([0, 1, 2]),
    mode=st.sampled_from(["constant", "edge", "reflect", -3.0]),
    dtype=st.sampled_from([np.int16, np.float32, np.float64]),
    order=st.sampled_from(["C", "F"]),
    batch_size=st.integers(1, 7),
)
def test_every_cutter_cuts_what_the_padded_volume_holds(
    shape: Any,
    size: Any,
    overlap: float,
    border: int,
    axis: int,
    mode: Any,
    dtype: Any,
    order: Any,
    batch_size: int,
) -> None:
    grid = plan_tiles(shape, size, overlap, border)
    images = [in_memory(shape, dtype, order, 1), in_memory(shape, np.float32, "C", 2, seed=1)]
    places = order_of(grid.counts, axis)
    expected = cut_by_hand(images, grid, mode, places)
    cutters = (
        HostCutter(images, grid, mode),
        SlabCutter(images, grid, mode, axis),
        DeviceCutter(images, grid, mode, CPU),
    )
    for cutter in cutters:
        for at in range(0, len(places), batch_size):
            wanted = places[at : at + batch_size]
            batch, same = cutter.cut(wanted)
            assert same == wanted
            assert batch.dtype == torch.float32
            assert torch.equal(batch, expected[at : at + batch_size])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slab_turns_each_plane_of_the_padded_volume_once(
    monkeypatch: pytest.MonkeyPatch, axis: int
) -> None:
    grid = plan_tiles((23, 19, 21), (7, 5, 6), 0.5, 2)
    images = [in_memory((23, 19, 21), np.int16, "F", 1)]
    planes: list[int] = []
    copy = _cutters._copy

    def note(images: Any, box: Box, out: Any, mode: Any) -> None:
        planes.extend(range(box.index_ini[axis], box.index_fin[axis]))
        others = [n for n in range(3) if n != axis]
        assert [box.index_ini[n] for n in others] == [-2, -2]
        copy(images, box, out, mode)

    monkeypatch.setattr(_cutters, "_copy", note)
    cutter = SlabCutter(images, grid, "edge", axis)
    for place in order_of(grid.counts, axis):
        cutter.cut([place])
    reach = int(grid.positions(axis)[-1]) + grid.patch_size[axis]
    assert planes == list(range(-2, reach - 2))


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 12), by=st.integers(1, 14), axis=st.sampled_from([1, 2, 3]),
)  # fmt: skip
def test_planes_are_moved_as_if_they_did_not_overlap(length: int, by: int, axis: int) -> None:
    shape = [2, 3, 3, 3]
    shape[axis] = length
    volume = torch.arange(float(np.prod(shape))).reshape(shape)
    before = volume.clone()
    kept = move_planes(volume, axis, by)
    assert kept == max(length - by, 0)
    assert torch.equal(volume.narrow(axis, 0, kept), before.narrow(axis, length - kept, kept))


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([(2, 3), (1, 3), (4, 4)]), st.integers(0, 7), st.booleans()),
        max_size=30,
    )
)
def test_no_memory_is_lent_to_two(steps: list[tuple[tuple[int, int], int, bool]]) -> None:
    buffers = Buffers()
    held: dict[int, tuple[torch.Tensor, float]] = {}
    for number, (shape, slot, keeps_a_view) in enumerate(steps):
        taken = torch.from_numpy(buffers.take(shape))
        assert taken.shape == shape
        taken.fill_(number)
        held[slot] = (taken[-1:, 1:] if keeps_a_view else taken, number)
        del taken
        for tensor, value in held.values():
            assert bool((tensor == value).all())


def test_memory_is_lent_again_when_no_tensor_is_left_and_not_before() -> None:
    buffers = Buffers()
    first = torch.from_numpy(buffers.take((2, 8)))
    pointer, view = first.data_ptr(), first[1, 3:].numpy()
    del first
    other = buffers.take((2, 8))
    assert other.ctypes.data != pointer  # a view still needs it
    del view
    assert buffers.take((1, 9)).ctypes.data == pointer  # a smaller batch fits in it
    held = [buffers.take((4, 8)) for _ in range(20)]  # a network that keeps everything
    assert len({array.ctypes.data for array in held}) == 20
    assert len(buffers._lent) <= _cutters._MOST_BUFFERS


def test_a_batch_that_the_network_kept_is_not_written_again() -> None:
    grid = plan_tiles((16, 8, 8), 8, 0.5)
    for cutter in (
        HostCutter([in_memory((16, 8, 8), np.int16, "F", 1)], grid, "constant"),
        SlabCutter([in_memory((16, 8, 8), np.int16, "F", 1)], grid, "constant", 0),
    ):
        places = order_of(grid.counts, 0)
        kept = [cutter.cut([place])[0] for place in places]
        copies = [batch.clone() for batch in kept]
        for place in places[::-1] if isinstance(cutter, HostCutter) else places[-1:]:
            cutter.cut([place])
        assert all(torch.equal(one, other) for one, other in zip(kept, copies, strict=True))


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
    shape = (19, 14, 11)
    grid = plan_tiles(shape, 8, 0.5, 0, 1)
    turned, alike = (in_memory(shape, np.int16, order, 1) for order in ("F", "C"))
    for several, kind, waits in (
        (images, HostCutter, True),  # one is a file, which another thread can read
        ([images[0], turned], HostCutter, True),
        ([alike], HostCutter, False),
        ([turned], SlabCutter, False),
        ([alike, turned], SlabCutter, False),
    ):
        cutter = choose_cutter(several, grid, "constant", CPU, 0)
        assert (type(cutter), cutter.waits) == (kind, waits)


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
