"""Where outputs go."""

import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom._errors import InferenceError
from voxloom.inference._sinks import check_outs, open_sink, sweep_axis
from voxloom.io import open_volume

SHAPE = (130, 9, 7)
NAMES = [None, "a.nii", "a.nii.gz", "a.zarr"]


@settings(deadline=None, max_examples=40)
@given(
    shape=st.tuples(st.integers(1, 70), st.integers(1, 5), st.integers(1, 70)),
    channels=st.integers(1, 3),
    name=st.sampled_from(NAMES),
    given_as=st.sampled_from(["nothing", "array", "tensor", "store"]),
    cuts=st.lists(st.integers(0, 70), max_size=4),
)
def test_slabs_of_any_size_join_to_the_whole(
    shape: Any, channels: int, name: str | None, given_as: str, cuts: list[int]
) -> None:
    whole = (channels, *shape)
    with tempfile.TemporaryDirectory() as folder:
        arrays = {
            "nothing": None if name is None else Path(folder) / name,
            "array": np.full(whole, -1.0, dtype=np.float32),
            "tensor": torch.full(whole, -1.0),
            "store": zarr.create_array({}, shape=whole, dtype="float32", chunks=(1, 8, 8, 8)),
        }
        out = arrays[given_as]
        axis = sweep_axis([out])
        sink = open_sink(out, axis, shape, np.diag([1.0, 2.0, 3.0, 1.0]))
        voxels = torch.rand(whole)
        ends = {cut // sink.thickness * sink.thickness for cut in cuts if cut < shape[axis]}
        bounds = sorted({0, *ends, shape[axis]})
        for first, last in pairwise(bounds):
            sink.write(first, voxels.narrow(1 + axis, first, last - first))
        image = sink.finish()
        assert np.array_equal(image.read(), voxels.numpy())
        assert np.array_equal(image.affine, np.diag([1.0, 2.0, 3.0, 1.0]))
        if given_as != "nothing":
            assert np.array_equal(np.asarray(out), voxels.numpy())


def test_only_memory_of_its_own_is_summed_in() -> None:
    own = open_sink(None, 0, (4, 3, 2), np.eye(4))
    memory = own.memory(2)
    assert memory is not None
    assert (tuple(memory.shape), memory.dtype) == ((2, 4, 3, 2), torch.float32)
    assert not memory.any()
    memory[:] = torch.rand(2, 4, 3, 2)
    assert torch.equal(own.finish().data, memory)
    given_array = np.full((2, 4, 3, 2), 7.0)
    for out in (given_array, "a.nii", "a.zarr"):
        assert open_sink(out, 0, (4, 3, 2), np.eye(4)).memory(2) is None
    assert (given_array == 7).all()


@pytest.mark.parametrize("name", ["a.nii", "a.zarr", "a.nii.gz"])
def test_what_had_the_name_stays_until_the_whole_is_there(tmp_path: Path, name: str) -> None:
    def write(value: float) -> Any:
        sink = open_sink(tmp_path / name, sweep_axis([name]), (4, 4, 4), np.eye(4))
        sink.write(0, torch.full((1, 4, 4, 4), value))
        return sink

    write(1.0).finish()
    sink = write(2.0)
    assert (open_volume(tmp_path / name).read() == 1).all()
    sink.abandon()
    assert (open_volume(tmp_path / name).read() == 1).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (write(3.0).finish().read() == 3).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_of_what_was_given_up_before_it_began(
    tmp_path: Path, name: str | None
) -> None:
    out = None if name is None else tmp_path / name
    open_sink(out, sweep_axis([out]), (4, 4, 4), np.eye(4)).abandon()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("given_as", ["array", "tensor"])
def test_what_was_given_and_does_not_fit_is_refused(given_as: str) -> None:
    out: Any = np.zeros((2, 4, 4, 4)) if given_as == "array" else torch.zeros(2, 4, 4, 4)
    with pytest.raises(InferenceError, match=r"out has shape \(C, 4, 4, 5\), got \(2, 4, 4, 4\)"):
        open_sink(out, 0, (4, 4, 5), np.eye(4))
    with pytest.raises(InferenceError, match=r"out has 2 channels, the network returns 3"):
        open_sink(out, 0, (4, 4, 4), np.eye(4)).write(0, torch.zeros(3, 1, 4, 4))


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "file.zarr").touch()
    (tmp_path / "old.nii").touch()
    (tmp_path / "old.zarr").mkdir()
    check_outs([None, tmp_path / "old.nii", str(tmp_path / "old.zarr"), torch.zeros(1, 2, 2, 2)])
    for out, message in (
        (tmp_path / "folder.nii", r"folder\.nii' would replace a folder; choose another name"),
        (tmp_path / "file.zarr", r"file\.zarr' would replace a file; choose another name"),
        (tmp_path / "none" / "a.nii", r"there is no folder '.*none' to write a\.nii to; make it"),
        ("s3://bucket/a.zarr", r"there is no folder 's3:/bucket'"),
        (tmp_path / "a.png", r"what is written to a file is \.zarr, \.nii or \.nii\.gz.*a\.png"),
        (3, r"out is a path, an array \(C, W, H, D\), or None, got int"),
    ):
        with pytest.raises(InferenceError, match=message):
            check_outs([None, out])


def test_two_outputs_have_two_names(tmp_path: Path) -> None:
    same = [tmp_path / "a.nii", str(tmp_path / "a.nii")]
    with pytest.raises(InferenceError, match=r"two outputs would be written to '.*a\.nii'"):
        check_outs(same)


@pytest.mark.parametrize("name", NAMES)
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
