"""Where patches lie, and how much their voxels count."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map, dense_patch_slices

from voxloom._errors import InferenceError
from voxloom.inference._tiling import blending_window, order_of, plan_tiles

LENGTHS = st.tuples(*[st.integers(1, 30)] * 3)
SIZES = st.tuples(*[st.integers(4, 12)] * 3)


@settings(deadline=None, max_examples=50)
@given(shape=LENGTHS, size=SIZES, overlap=st.sampled_from([0.0, 0.25, 0.5, 0.7]))
def test_patches_lie_where_monai_puts_them(shape: Any, size: Any, overlap: float) -> None:
    grid = plan_tiles(shape, size, overlap)
    padded = [max(n, p) for n, p in zip(shape, size, strict=True)]
    step = [
        p if n == p else max(int(p * (1 - overlap)), 1) for n, p in zip(padded, size, strict=True)
    ]
    expected = [
        sorted({one[axis].start for one in dense_patch_slices(padded, size, step)})
        for axis in range(3)
    ]
    assert [grid.positions(axis).tolist() for axis in range(3)] == expected
    assert grid.border == tuple((p - n) // 2 for n, p in zip(shape, padded, strict=True))


@settings(deadline=None)
@given(
    shape=LENGTHS,
    size=st.tuples(*[st.sampled_from([4, 8, 12])] * 3),
    overlap=st.integers(0, 3),
    border=st.integers(0, 9),
    stride=st.sampled_from([1, 2, 4]),
)
def test_every_voxel_and_the_border_are_covered_at_multiples_of_the_stride(
    shape: Any, size: Any, overlap: int, border: int, stride: int
) -> None:
    grid = plan_tiles(shape, size, overlap, border, stride)
    for axis in range(3):
        positions = grid.positions(axis)
        assert not (positions % stride).any()
        assert grid.border[axis] % stride == 0
        assert grid.border[axis] >= border
        assert np.diff(positions).max(initial=0) <= size[axis]
        assert positions[-1] + size[axis] >= grid.border[axis] + shape[axis] + border - stride


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_order_has_every_place_once_and_one_axis_changes_last(axis: int) -> None:
    order = order_of((3, 2, 4), axis)
    assert len(set(order)) == len(order) == 24
    assert [place[axis] for place in order] == sorted(place[axis] for place in order)


@pytest.mark.parametrize("size", [(8, 8, 8), (16, 9, 33), (1, 4, 4)])
def test_the_gaussian_is_that_of_monai(size: tuple[int, int, int]) -> None:
    theirs = compute_importance_map(size, "gaussian").numpy()
    ours = blending_window("gaussian", size)
    assert np.allclose(ours / ours.max(), theirs / theirs.max(), atol=1e-6)


@pytest.mark.parametrize("mode", ["average", "hann"])
def test_no_voxel_counts_nothing(mode: str) -> None:
    window = blending_window(mode, (32, 32, 32))
    assert window.min() >= 1e-3 - 1e-9
    assert math.isclose(window.max(), 1, rel_tol=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"overlap": 1.0}, r"overlap is a fraction .* fewer than the patch has \(8\); got 1\.0"),
        ({"overlap": 8}, r"got 8"),
        ({"overlap": True}, r"got True"),
        ({"overlap": (0, 0)}, r"one for each of three axes, got \(0, 0\)"),
        ({"border": -1}, r"border is a number of voxels, 0 or more, got -1"),
        ({"stride": 3}, r"stride is a positive integer that divides patch_size=\(8, 8, 8\), got 3"),
    ],
)
def test_what_no_grid_can_be_made_of_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        plan_tiles((16, 16, 16), 8, **arguments)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InferenceError, match=r"mode is one of .*'gaussian'.*got 'crop'"):
        blending_window("crop", (8, 8, 8))
