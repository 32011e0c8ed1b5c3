"""Where patches of a volume lie for inference, and how much each of their voxels counts."""

from __future__ import annotations

import math
import warnings
from itertools import product
from typing import Any, Final, Literal, get_args

import numpy as np
import numpy.typing as npt

from voxloom._errors import InferenceError
from voxloom.geometry import Index3, Shape3
from voxloom.patches import Grid, parse_patch_size
from voxloom.patches._window import WINDOWS

BlendMode = Literal["gaussian", "average", "hann"]

_MODES: Final = get_args(BlendMode)
_LEAST_WEIGHT: Final = 1e-3
_MOST_PADDED: Final = 8  # twice the length of each axis


def plan_tiles(
    spatial_shape: Shape3,
    patch_size: Any,
    overlap: Any = 0.5,
    border: Any = 0,
    stride: int = 1,
) -> Grid:
    """Return the grid of patches that covers a volume.

    Neighbours lie ``size - overlap`` voxels apart, and the last one of each axis ends where
    the volume ends, as in MONAI's sliding window. A volume that is smaller than the patch is
    continued to its size on both sides.

    Parameters
    ----------
    spatial_shape : (W, H, D) tuple of int
        Voxels of the volume along each axis.
    patch_size : int or three int
        Voxels of a patch.
    overlap : float, int, or three of them
        What neighbours share: a fraction of the patch from 0 to less than 1, or voxels.
    border : int or three int
        Voxels around the volume that are covered too.
    stride : int
        Patches begin at multiples of this, as networks need whose outputs are smaller.

    Raises
    ------
    InferenceError
        A ValueError, if overlap, border or stride cannot be used.

    Examples
    --------
    >>> plan_tiles((10, 6, 6), 6, 0.5).positions(0).tolist()
    [0, 3, 4]
    """
    size = parse_patch_size(patch_size)
    if type(stride) is not int or stride < 1 or any(n % stride for n in size):
        raise InferenceError(
            f"stride is a positive integer that divides patch_size={size}, got {stride!r}"
        )
    axes = zip(spatial_shape, size, three(overlap), three(border), strict=True)
    shared, borders, padded = zip(*(_axis(*axis, stride) for axis in axes), strict=True)
    return Grid(spatial_shape, size, shared, borders, padded)


def warn_of_padding(grid: Grid) -> None:
    """Warn where a patch is nearly all padding: a size in mm, or one of another data set.

    MONAI pads as well, and does not say so: a network then sees little else than what was
    made up, and what it returns for the volume is seldom what was wanted.
    """
    if math.prod(grid.patch_size) > _MOST_PADDED * math.prod(grid.spatial_shape):
        warnings.warn(
            f"a patch of {grid.patch_size} holds more than {_MOST_PADDED} times the voxels of the "
            f"volume, {grid.spatial_shape}, and is padded; give a smaller patch_size, or resample "
            "the volume to the spacing that the network was trained with",
            stacklevel=3,  # of infer
        )


def three(value: Any) -> tuple[Any, Any, Any]:
    """Return one value for each axis, of one or three.

    Raises
    ------
    InferenceError
        If there are two, or four or more.
    """
    values = (value,) * 3 if np.ndim(value) == 0 else tuple(value)
    if len(values) != 3:
        raise InferenceError(f"expected one value, or one for each of three axes, got {value!r}")
    return values[0], values[1], values[2]


def _axis(length: int, size: int, overlap: Any, border: Any, stride: int) -> Index3:
    if type(border) is not int or border < 0:
        raise InferenceError(f"border is a number of voxels, 0 or more, got {border!r}")
    step = max(_step(size, overlap) // stride, 1) * stride
    wanted = max(length + 2 * border, size)
    before = math.ceil((wanted - length) // 2 / stride) * stride
    padded = size + math.ceil((max(wanted, before + length) - size) / stride) * stride
    return size - step, before, padded


def _step(size: int, overlap: Any) -> int:
    if isinstance(overlap, float) and 0 <= overlap < 1:
        return max(int(size * (1 - overlap)), 1)
    if type(overlap) is int and 0 <= overlap < size:
        return size - overlap
    raise InferenceError(
        f"overlap is a fraction from 0 to less than 1, or voxels, fewer than the patch has "
        f"({size}); got {overlap!r}"
    )


def order_of(counts: Shape3, axis: int) -> list[Index3]:
    """Return the places of a grid so that those along `axis` change last.

    Examples
    --------
    >>> order_of((1, 2, 2), axis=2)
    [(0, 0, 0), (0, 1, 0), (0, 0, 1), (0, 1, 1)]
    """
    others = [other for other in range(3) if other != axis]
    places = []
    for slow, *fast in product(*(range(counts[n]) for n in (axis, *others))):
        place = dict(zip((axis, *others), (slow, *fast), strict=True))
        places.append((place[0], place[1], place[2]))
    return places


def blending_window(mode: str, size: Shape3) -> npt.NDArray[np.float32]:
    """Return how much each voxel of a patch counts, ``(w, h, d)`` float32, 1 at most.

    A Gaussian has a standard deviation of an eighth of the patch (Isensee et al., 2021). No
    voxel counts less than 1/1000, as in MONAI: sums in float32 would drown it.

    Raises
    ------
    InferenceError
        A ValueError, if the mode is none of ``'gaussian'``, ``'average'``, ``'hann'``.

    Examples
    --------
    >>> blending_window("gaussian", (8, 8, 8)).min().round(6)
    np.float32(0.001)
    """
    if mode not in _MODES:
        raise InferenceError(f"mode is one of {_MODES}, got {mode!r}")
    i, j, k = (WINDOWS[mode](n) for n in size)
    plane = (i[:, None] * j).astype(np.float32)
    window = plane[..., None] * k.astype(np.float32)
    return np.maximum(window, np.float32(_LEAST_WEIGHT), out=window)
