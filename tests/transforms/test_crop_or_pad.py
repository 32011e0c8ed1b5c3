import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom import Image, LabelMap, ScalarImage, Subject
from voxloom._errors import PaddingError, TransformError
from voxloom.transforms import crop_or_pad

shapes = st.tuples(*(st.integers(1, 9) for _ in range(3)))


def counting(shape: tuple[int, int, int]) -> Subject:
    voxels = np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(1, *shape)
    affine = np.array([[0, 2.0, 0, 5], [1.5, 0, 0.1, -3], [0, 0, -1, 2], [0, 0, 0, 1]])
    return Subject(
        t1=ScalarImage(tensor=voxels, affine=affine), seg=LabelMap(tensor=voxels, affine=affine)
    )


@given(shapes, shapes)
def test_it_has_the_size_that_was_asked_for(
    shape: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    assert crop_or_pad(counting(shape), size).spatial_shape == size


@given(shapes, shapes)
def test_padding_and_cropping_back_changes_nothing(
    shape: tuple[int, int, int], more: tuple[int, int, int]
) -> None:
    subject = counting(shape)
    w, h, d = (n + m for n, m in zip(shape, more, strict=True))
    again = crop_or_pad(crop_or_pad(subject, (w, h, d)), shape)
    np.testing.assert_array_equal(again.t1.array, subject.t1.array)
    np.testing.assert_allclose(again.t1.affine, subject.t1.affine, atol=1e-12)


@given(shapes, shapes)
def test_every_voxel_stays_where_it_is_in_the_world(
    shape: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    subject = counting(shape)
    changed = crop_or_pad(subject, size)
    for place in np.argwhere(changed.t1.array[0] > 0):
        world = changed.t1.affine @ [*place, 1]
        before = np.rint(np.linalg.solve(subject.t1.affine, world)[:3]).astype(int)
        np.testing.assert_allclose(subject.t1.affine @ [*before, 1], world, atol=1e-9)
        assert subject.t1.array[0][tuple(before)] == changed.t1.array[0][tuple(place)]


@pytest.mark.parametrize("mode", ["edge", "reflect"])
def test_padding_continues_the_volume_as_numpy_does(mode: str) -> None:
    subject = counting((3, 4, 5))
    changed = crop_or_pad(subject, (5, 6, 7), mode)
    np.testing.assert_array_equal(
        changed.t1.array[0],
        np.pad(subject.t1.array[0], 1, mode=mode),  # type: ignore[call-overload]
    )


def test_a_number_is_for_intensities() -> None:
    changed = crop_or_pad(counting((2, 2, 2)), 4, padding_mode=-1000)
    assert changed.t1.array[0, 0, 0, 0] == -1000
    assert changed.seg.array[0, 0, 0, 0] == 0


@pytest.mark.parametrize("shape", [0, (4, 4), (4, 4, -1), 2.5, True, (4, 4, 4.0)])
def test_what_is_no_shape_is_refused(shape: object) -> None:
    with pytest.raises(TransformError, match="spatial_shape is a positive integer or three"):
        crop_or_pad(counting((2, 2, 2)), shape)  # type: ignore[arg-type]


def test_an_unknown_padding_mode_is_refused() -> None:
    with pytest.raises(PaddingError, match="wrap"):
        crop_or_pad(counting((2, 2, 2)), 4, "wrap")  # type: ignore[arg-type]


def test_a_number_is_for_intensities_only() -> None:
    voxels = np.ones((1, 2, 2, 2), np.float32)
    subject = Subject(
        t1=ScalarImage(tensor=voxels),
        seg=LabelMap(tensor=voxels),
        weights=Image(tensor=voxels, type="sampling_map"),
    )
    padded = crop_or_pad(subject, 4, -1000)
    outside = {name: float(padded[name].data.min()) for name in ("t1", "seg", "weights")}
    assert outside == {"t1": -1000, "seg": 0, "weights": 0}
