import re

import numpy as np
import pytest

from voxloom._errors import GeometryError
from voxloom.geometry import Box
from voxloom.io import ArraySource

VOXELS = np.arange(2 * 4 * 5 * 6).reshape(2, 4, 5, 6)


def test_voxels_in_memory_are_views() -> None:
    source = ArraySource(VOXELS)
    assert source.read() is VOXELS
    read = source.read(Box((1, 2, 3), (3, 4, 6)))
    assert np.shares_memory(read, VOXELS)
    np.testing.assert_array_equal(read, VOXELS[:, 1:3, 2:4, 3:6])


def test_space_has_the_affine() -> None:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    source = ArraySource(VOXELS, affine)
    np.testing.assert_array_equal(source.affine, affine)
    assert source.spatial_shape == (4, 5, 6)


@pytest.mark.parametrize("shape", [(4, 5, 6), (1, 4, 0, 6)])
def test_arrays_that_are_no_volumes_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"(C, W, H, D) without empty axes, got shape {shape}")
    with pytest.raises(GeometryError, match=message):
        ArraySource(np.zeros(shape))


def test_box_that_overhangs_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"t1 has spatial shape \(4, 5, 6\), the box from"):
        ArraySource(VOXELS, path="t1").read(Box((-1, 0, 0), (1, 1, 1)))
