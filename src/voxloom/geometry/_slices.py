"""From the way one slices a volume to a box."""

from __future__ import annotations

from operator import index
from typing import Any

from voxloom._errors import GeometryError
from voxloom.geometry._box import Box, Shape3


def box_of_slices(key: Any, shape: Shape3) -> Box:
    """Return the box that ``volume[key]`` means, for a volume of this spatial shape.

    Parameters
    ----------
    key : int, slice, Ellipsis or tuple of these
        One for each of the axes ``(W, H, D)``, in order; what is left out is whole. An
        integer keeps its axis, one voxel long. Negative indices count from the end.
    shape : (W, H, D) tuple of int
        Number of voxels along each axis.

    Raises
    ------
    GeometryError
        If there are more than three, a step is not 1, or no voxel would be left.
    IndexError
        If an integer lies outside the volume.

    Examples
    --------
    >>> box_of_slices((slice(None), slice(2, -3)), (10, 10, 10))
    Box(index_ini=(0, 2, 0), index_fin=(10, 7, 10))
    """
    keys = _one_an_axis(key if isinstance(key, tuple) else (key,))
    ranges = [_range(one, n, axis) for axis, (one, n) in enumerate(zip(keys, shape, strict=True))]
    if any(ini >= fin for ini, fin in ranges):
        raise GeometryError(
            f"slicing a volume of spatial shape {shape} with {key!r} leaves no voxel; "
            f"it would keep the voxels {ranges} of its axes"
        )
    (a, b), (c, d), (e, f) = ranges
    return Box((a, c, e), (b, d, f))


def _one_an_axis(keys: tuple[Any, ...]) -> tuple[Any, ...]:
    gaps = [place for place, one in enumerate(keys) if one is Ellipsis]
    if len(keys) - len(gaps) > 3 or len(gaps) > 1:
        raise GeometryError(
            f"a volume is sliced along its axes (W, H, D), got {keys!r}; channels stay together: "
            f"slice image.data for some of them"
        )
    gap = gaps[0] if gaps else len(keys)
    whole = (slice(None),) * (3 - len(keys) + len(gaps))
    return (*keys[:gap], *whole, *keys[gap + 1 :])


def _range(key: Any, length: int, axis: int) -> tuple[int, int]:
    if isinstance(key, slice):
        ini, fin, step = key.indices(length)
        if step != 1:
            raise GeometryError(
                f"a volume is sliced in steps of 1, got {key!r} along axis {axis}; "
                f"resample it to skip voxels"
            )
        return ini, fin
    try:
        place = index(key)
    except TypeError:
        raise GeometryError(
            f"a volume is sliced with integers and slices, got {key!r} along axis {axis}"
        ) from None
    if not -length <= place < length:
        raise IndexError(f"axis {axis} has {length} voxels, there is no voxel {place}")
    return place % length, place % length + 1
