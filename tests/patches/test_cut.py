import gc
import itertools
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import GeometryError
from voxloom.geometry import Box, Space
from voxloom.io import Array, ArraySource, VolumeSource, write_nifti
from voxloom.patches import copy_box, copy_image_box, copy_image_boxes, cut, is_first_axis_fastest
from voxloom.subjects import LabelMap, ScalarImage, Subject

SHAPE = (7, 6, 5)
sizes = st.tuples(*[st.integers(1, 12)] * 3)
starts = st.tuples(*[st.integers(-9, 12)] * 3)


def volume(dtype: Any = np.int16, channels: int = 2) -> Array:
    numbers = np.arange(channels * np.prod(SHAPE))
    return numbers.reshape(channels, *SHAPE).astype(dtype)


class CountingSource(VolumeSource):
    """A volume that records which boxes are read."""

    def __init__(self, array: Array, *, reads_regions: bool) -> None:
        self.inner = ArraySource(array)
        self.shape, self.dtype, self.space = self.inner.shape, array.dtype, self.inner.space
        self.reads_regions, self.path = reads_regions, None
        self.boxes: list[Box | None] = []

    def read(self, box: Box | None = None) -> Array:
        self.boxes.append(box)
        return self.inner.read(box)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
@pytest.mark.parametrize("dtype", ["<i2", ">i2", "u1", "f8", "?"])
@pytest.mark.parametrize("kind", ["f4", None])
def test_a_box_holds_the_same_in_every_memory_order_and_dtype(
    order: tuple[int, ...], dtype: str, kind: str | None
) -> None:
    plain = volume(dtype)
    stored = plain.transpose(order).copy().transpose(np.argsort(order))
    for box in (Box((1, 2, 0), (6, 5, 4)), Box((0, 0, 0), SHAPE), Box((3, 0, 2), (4, 6, 3))):
        out = np.empty((2, *box.size), dtype=kind or dtype)
        copy_box(stored, box, out)
        assert np.array_equal(out, plain[(slice(None), *box.slices)])
        turned = np.empty((2, *box.size), dtype=kind or dtype, order="F")
        copy_box(stored, box, turned)
        assert np.array_equal(turned, out)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@given(start=starts, size=sizes)
def test_padding_equals_padding_the_whole_volume(
    mode: Any, start: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    box = Box.at(start, size)
    out = np.empty((2, *size), dtype=np.int32)
    copy_box(np.asfortranarray(volume()), box, out, mode)
    margin = 30
    whole = np.pad(volume(), ((0, 0), *[(margin, margin)] * 3), mode=mode)
    moved = Box.at((start[0] + margin, start[1] + margin, start[2] + margin), size)
    assert np.array_equal(out, whole[(slice(None), *moved.slices)])


def test_a_number_pads_with_that_number() -> None:
    out = np.empty((2, 3, 1, 1), dtype=np.int16)
    copy_box(volume(), Box((-2, 0, 0), (1, 1, 1)), out, -7)
    assert out[0].ravel().tolist() == [-7, -7, 0]


@pytest.mark.parametrize("start", [(-1, 0, 0), (0, 0, 3), (50, 0, 0)])
def test_a_box_that_overhangs_is_an_error_never_a_short_patch(start: tuple[int, int, int]) -> None:
    box = Box.at(start, (3, 3, 3))
    message = (
        f"the box from {box.index_ini} to {box.index_fin} does not lie inside the volume of "
        "spatial shape (7, 6, 5); move it, or give a padding_mode"
    )
    subject = Subject(t1=ScalarImage(tensor=volume()))
    with pytest.raises(GeometryError, match=re.escape(message)):
        cut(subject, box)


def test_an_array_of_another_shape_is_refused() -> None:
    message = "goes into an array of shape (2, 3, 3, 3), got one of shape (1, 3, 3, 3)"
    with pytest.raises(GeometryError, match=re.escape(message)):
        copy_box(volume(), Box((0, 0, 0), (3, 3, 3)), np.empty((1, 3, 3, 3)))


def test_a_patch_carries_everything_and_knows_where_it_lies() -> None:
    subject = Subject(
        t1=ScalarImage(tensor=volume(), affine=np.diag([2, 2, 3, 1])),
        seg=LabelMap(tensor=volume(np.uint8), affine=np.diag([2, 2, 3, 1])),
        age=42,
        notes=["a", "b"],
    )
    patch = cut(subject, Box((1, 2, 3), (4, 4, 4)))
    assert list(patch) == ["t1", "seg", "age", "notes", "index_ini", "location"]
    assert patch["age"] == 42
    assert patch["notes"] == ["a", "b"]
    for key, expected in (("index_ini", [1, 2, 3]), ("location", [1, 2, 3, 4, 4, 4])):
        assert isinstance(patch[key], torch.Tensor)
        assert patch[key].dtype == torch.int64
        assert patch[key].tolist() == expected
    assert type(patch["seg"]) is LabelMap
    assert patch["seg"].dtype == np.uint8
    assert patch["t1"].affine[:3, 3].tolist() == [2.0, 4.0, 9.0]
    assert np.array_equal(patch["t1"].array, volume()[:, 1:4, 2:4, 3:4])


def test_what_is_changed_in_a_patch_changes_nothing_else() -> None:
    image = ScalarImage(tensor=volume(), notes=["a"])
    subject = Subject(t1=image, seen={"by": []}, pair=([1], "text"), weights=np.zeros(2))
    one, two = (cut(subject, Box((0, 0, 0), (2, 2, 2))) for _ in range(2))
    one["t1"]["notes"].append("b")
    one["seen"]["by"].append("me")
    one["pair"][0].append(2)
    one["weights"][0] = 1
    for other in (subject, two):
        assert other["t1"]["notes"] == ["a"]
        assert other["seen"] == {"by": []}
        assert other["pair"] == ([1], "text")
        assert other["weights"].tolist() == [0, 0]


def test_the_affine_of_a_padded_patch_is_exact() -> None:
    affine = np.array([[0.0, -2, 0, 5], [1, 0, 0, 6], [0, 0, 3, 7], [0, 0, 0, 1]])
    subject = Subject(seg=LabelMap(tensor=volume(np.uint8), affine=affine))
    patch = cut(subject, Box((-2, -1, 0), (8, 3, 2)), "edge")
    assert patch["index_ini"].tolist() == [-2, -1, 0]
    assert np.array_equal(
        patch["seg"].affine, Space(SHAPE, affine).crop(Box((-2, -1, 0), (8, 3, 2))).affine
    )
    assert patch["seg"].shape == (2, 10, 4, 2)
    assert np.array_equal(patch["seg"].array[:, 2:9, 1:], volume(np.uint8)[:, :, :3, :2])


def test_a_patch_owns_its_memory_and_keeps_no_volume_alive() -> None:
    array = volume(np.float32)
    subject = Subject(t1=ScalarImage(tensor=array))
    patch = cut(subject, Box((0, 0, 0), SHAPE))
    held = weakref.ref(array)
    assert patch["t1"].array.base is None
    assert not np.shares_memory(patch["t1"].array, array)
    del array, subject
    gc.collect()
    assert held() is None


def test_images_that_a_transform_added_are_cut_too() -> None:
    subject = Subject(t1=ScalarImage(tensor=volume()))
    changed = subject.replace(
        t1=subject["t1"].with_data(volume() + 1), edges=ScalarImage(tensor=volume()), side="left"
    )
    patch = cut(changed, Box((0, 0, 0), (2, 2, 2)))
    assert np.array_equal(patch["t1"].array, volume()[:, :2, :2, :2] + 1)
    assert patch["edges"].spatial_shape == (2, 2, 2)
    assert patch["side"] == "left"


def test_only_the_box_is_read_where_the_file_allows_it() -> None:
    source = CountingSource(volume(), reads_regions=True)
    image = ScalarImage.from_source(source)
    patch = cut(Subject(t1=image), Box((-1, 0, 1), (2, 2, 3)), "constant")
    assert source.boxes == [Box((0, 0, 1), (2, 2, 3))]
    assert not image.is_loaded
    assert np.array_equal(patch["t1"].array[:, 1:], volume()[:, :2, :2, 1:3])


def test_other_files_are_decoded_once_for_many_patches() -> None:
    source = CountingSource(volume(), reads_regions=False)
    subject = Subject(t1=ScalarImage.from_source(source))
    for i in range(3):
        cut(subject, Box.at((i, 0, 0), (2, 2, 2)))
    assert source.boxes == [None]


@pytest.mark.parametrize("start", [(1, 2, 0), (-2, 4, 3)])
def test_boxes_of_several_images_are_those_of_each(start: tuple[int, int, int]) -> None:
    images = {
        "mapped": ScalarImage.from_source(CountingSource(volume(), reads_regions=True)),
        "packed": LabelMap.from_source(CountingSource(volume(np.uint8, 1), reads_regions=False)),
        "loaded": ScalarImage(tensor=np.asfortranarray(volume(np.float32))),
    }
    box = Box.at(start, (3, 2, 4))
    shapes = {name: (image.shape[0], *box.size) for name, image in images.items()}
    expected, outs = (
        {name: np.full(shape, 9, images[name].dtype) for name, shape in shapes.items()}
        for _ in range(2)
    )
    for name, image in images.items():
        copy_image_box(image, box, expected[name], "edge")
    copy_image_boxes(images, box, outs, "edge")
    for name in images:
        assert np.array_equal(outs[name], expected[name])
        assert not (outs[name] == 9).all()


@pytest.mark.parametrize("shape", [(2, 7, 6, 5), (1, 7, 1, 1), (1, 7, 1, 5)])
def test_it_is_known_how_boxes_of_an_image_lie(shape: tuple[int, ...], tmp_path: Path) -> None:
    voxels = np.zeros(shape, dtype=np.int16)
    assert is_first_axis_fastest(ScalarImage(tensor=voxels)) == (shape[2:] == (1, 1))
    assert is_first_axis_fastest(ScalarImage(tensor=np.asfortranarray(voxels)))
    assert is_first_axis_fastest(ScalarImage(write_nifti(tmp_path / "t1.nii", voxels)))


def test_nothing_is_decoded_to_know_how_boxes_lie(tmp_path: Path) -> None:
    voxels = np.zeros((1, 7, 6, 5), dtype=np.int16)
    packed = ScalarImage(write_nifti(tmp_path / "t1.nii.gz", voxels))
    assert not is_first_axis_fastest(packed)
    assert not packed.is_loaded
    assert is_first_axis_fastest(packed.load())
    chunks = CountingSource(np.asfortranarray(voxels), reads_regions=True)
    chunks.chunk_shape = (4, 4, 4)
    assert not is_first_axis_fastest(ScalarImage.from_source(chunks))
    assert chunks.boxes == []
