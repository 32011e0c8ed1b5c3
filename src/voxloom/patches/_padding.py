"""Padding: what lies where a patch overhangs its volume."""

from __future__ import annotations

import math
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from voxloom._errors import PaddingError
from voxloom.geometry import Box, Shape3

PaddingMode = Literal["constant", "edge", "reflect"] | float

_NAMES: Final[tuple[Literal["constant", "edge", "reflect"], ...]] = ("constant", "edge", "reflect")


def parse_padding_mode(value: Any) -> PaddingMode | None:
    """Return the padding mode that `value` stands for; None stands for no padding.

    Parameters
    ----------
    value : 'constant', 'edge', 'reflect', a number, or None
        ``'constant'`` pads with 0, a number with that number, ``'edge'`` repeats the last
        voxel, ``'reflect'`` mirrors at the last voxel without repeating it.

    Raises
    ------
    PaddingError
        If it is none of these.

    Examples
    --------
    >>> parse_padding_mode("edge")
    'edge'
    >>> parse_padding_mode(-1000)
    -1000.0
    """
    if value is None:
        return None
    for name in _NAMES:
        if isinstance(value, str) and value == name:
            return name
    if isinstance(value, int | float | np.number) and not isinstance(value, bool):
        return float(value)
    raise PaddingError(
        f"padding_mode is one of {', '.join(map(repr, _NAMES))}, a number, or None for no "
        f"padding; got {value!r}"
    )


def padded_indices(ini: int, fin: int, length: int, mode: PaddingMode) -> npt.NDArray[np.int64]:
    """Return, for each place in ``ini..fin`` of one axis, the voxel of the volume it shows.

    Parameters
    ----------
    ini, fin : int
        Half-open range of places; they may lie outside the volume, however far.
    length : int
        Number of voxels of the volume along this axis.
    mode : 'edge' or 'reflect'
        How the volume goes on outside.

    Examples
    --------
    >>> padded_indices(-3, 5, 3, "reflect")
    array([1, 2, 1, 0, 1, 2, 1, 0])
    >>> padded_indices(-2, 5, 3, "edge")
    array([0, 0, 0, 1, 2, 2, 2])
    """
    places = np.arange(ini, fin)
    if mode == "edge" or length == 1:
        return places.clip(0, length - 1)
    period = 2 * (length - 1)
    folded = places % period
    return np.minimum(folded, period - folded)


def padding_value(mode: PaddingMode, dtype: np.dtype[Any]) -> Any:
    """Return the number a constant padding writes into an array of this dtype.

    A number that an integer dtype cannot hold becomes the nearest one it can: padding a CT
    with -1000 pads its unsigned label map with 0.

    Examples
    --------
    >>> padding_value(-1000.0, np.dtype(np.uint8)), padding_value(-1000.0, np.dtype(np.int16))
    (0, -1000)
    """
    value = 0.0 if isinstance(mode, str) else mode
    if dtype.kind not in "iu":
        return value
    limits = np.iinfo(dtype)
    if math.isnan(value):
        raise PaddingError(f"padding_mode=nan cannot be written into voxels of type {dtype}")
    return int(min(max(value, limits.min), limits.max))


def part_inside(box: Box, spatial_shape: Shape3) -> Box | None:
    """Return the part of `box` that lies inside a volume, or None if there is none.

    Examples
    --------
    >>> part_inside(Box((-2, 0, 0), (2, 2, 2)), (9, 9, 9)).size
    (2, 2, 2)
    """
    ini = [max(a, 0) for a in box.index_ini]
    fin = [min(b, n) for b, n in zip(box.index_fin, spatial_shape, strict=True)]
    if any(a >= b for a, b in zip(ini, fin, strict=True)):
        return None
    return Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2]))
