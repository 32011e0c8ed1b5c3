"""Joining patches in a window that moves."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom._errors import InferenceError
from voxloom.inference._blender import Blender, output_factors, output_shape
from voxloom.inference._tiling import blending_window, order_of, plan_tiles

CPU = torch.device("cpu")


class Planes:
    """Keeps slabs, and checks that they follow each other in multiples of the thickness.

    With a shape it gives memory of the whole output instead, and must be written nothing.
    """

    def __init__(self, axis: int, thickness: int, shape: Any = None) -> None:
        self.axis, self.thickness = axis, thickness
        self.shape, self.whole = shape, torch.empty(0)
        self.slabs: list[torch.Tensor] = []
        self.next = 0

    def memory(self, channels: int) -> torch.Tensor | None:
        self.whole = torch.zeros(channels, *(self.shape or (0, 0, 0)))
        return None if self.shape is None else self.whole

    def write(self, first: int, slab: torch.Tensor) -> None:
        assert self.shape is None
        assert first == self.next
        assert first % self.thickness == 0
        self.next += slab.shape[1 + self.axis]
        self.slabs.append(slab.clone())

    def finish(self) -> Any:
        if self.shape is not None:
            return self.whole
        return torch.cat(self.slabs, dim=1 + self.axis)

    def abandon(self) -> None:
        self.slabs.clear()


def brute_force(grid: Any, window: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    sums = torch.zeros(patches.shape[1], *grid.padded_shape)
    weights = torch.zeros(grid.padded_shape)
    for patch, place in zip(patches, grid.locations.tolist(), strict=True):
        i, j, k = (slice(place[n], place[n + 3]) for n in range(3))
        sums[:, i, j, k] += patch * window
        weights[i, j, k] += window
    i, j, k = (slice(b, b + n) for b, n in zip(grid.border, grid.spatial_shape, strict=True))
    return (sums / weights)[:, i, j, k]


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    size=st.tuples(*[st.integers(3, 9)] * 3),
    overlap=st.sampled_from([0.0, 0.3, 0.5, 0.8]),
    border=st.integers(0, 6),
    axis=st.sampled_from([0, 1, 2]),
    thickness=st.integers(1, 5),
    mode=st.sampled_from(["gaussian", "average", "hann"]),
    in_place=st.booleans(),
)
def test_the_moving_window_gives_what_whole_volumes_give(
    shape: Any,
    size: Any,
    overlap: float,
    border: int,
    axis: int,
    thickness: int,
    mode: str,
    in_place: bool,
) -> None:
    grid = plan_tiles(shape, size, overlap, border)
    window = torch.from_numpy(blending_window(mode, size))
    rng = np.random.default_rng(0)
    patches = torch.from_numpy(rng.random((len(grid.locations), 2, *size), dtype=np.float32))
    planes = Planes(axis, thickness, shape if in_place else None)
    blender = Blender(grid, window, patches[0], planes, CPU)
    for place in order_of(grid.counts, axis):
        blender.add(patches[np.ravel_multi_index(place, grid.counts)], place)
    blender.finish()
    joined = planes.finish()
    assert joined.shape == (2, *shape)
    assert torch.allclose(joined, brute_force(grid, window, patches), atol=1e-5)


def test_a_patch_of_another_shape_is_refused() -> None:
    grid = plan_tiles((8, 8, 8), 4)
    first = torch.zeros(1, 4, 4, 4)
    blender = Blender(grid, torch.ones(4, 4, 4), first, Planes(0, 1), CPU)
    with pytest.raises(InferenceError, match=r"\(1, 4, 4, 4\) for the first patch and \(2, 4"):
        blender.add(torch.zeros(2, 4, 4, 4), (0, 0, 0))


def test_outputs_may_have_larger_voxels_if_patches_begin_at_them() -> None:
    grid = plan_tiles((10, 8, 8), 4, 0)
    aligned = plan_tiles((10, 8, 8), 4, 0, stride=4)
    assert output_factors(aligned, torch.zeros(1, 2, 4, 1)) == (2, 1, 4)
    with pytest.raises(InferenceError, match=r"one voxel for every \(4, 4, 4\).*stride=4"):
        output_factors(grid, torch.zeros(1, 1, 1, 1))
    with pytest.raises(InferenceError, match=r"whose sizes divide those of the patch, got \(B, 1"):
        output_factors(grid, torch.zeros(1, 3, 3, 3))
    assert output_shape((10, 8, 7), (4, 4, 4)) == (3, 2, 2)
