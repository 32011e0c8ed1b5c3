"""Windows: how much a voxel of a patch counts where patches of a grid overlap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from voxloom._errors import AggregatorError

OverlapMode = Literal["crop", "average", "hann", "gaussian"]
Weights = npt.NDArray[np.float64]

OVERLAP_MODES: tuple[str, ...] = get_args(OverlapMode)


def flat_window(size: int) -> Weights:
    """Return a window in which every voxel counts the same.

    Examples
    --------
    >>> flat_window(3).tolist()
    [1.0, 1.0, 1.0]
    """
    return np.ones(size)


def hann_window(size: int) -> Weights:
    """Return the Hann window of `size` voxels, without its two zeros.

    Examples
    --------
    >>> hann_window(3).round(3).tolist()
    [0.5, 1.0, 0.5]
    """
    return np.asarray(np.sin(np.pi * np.arange(1, size + 1) / (size + 1)) ** 2)


def gaussian_window(size: int) -> Weights:
    """Return a Gaussian centred on the patch, with a standard deviation of `size` / 8 voxels.

    The width is that of nnU-Net's importance map (Isensee et al., 2021). The outermost
    voxels count about 1/3000 of the central one, never zero.

    Examples
    --------
    >>> gaussian_window(3).round(3).tolist()
    [0.029, 1.0, 0.029]
    """
    distance = np.arange(size) - (size - 1) / 2
    return np.asarray(np.exp(-0.5 * (distance * 8 / size) ** 2))


WINDOWS: dict[str, Callable[[int], Weights]] = {
    "crop": flat_window,
    "average": flat_window,
    "hann": hann_window,
    "gaussian": gaussian_window,
}


@dataclass(frozen=True, slots=True, eq=False)
class AxisWindows:
    """Where the patches of a grid go along one axis of the output, and how they count there.

    Attributes
    ----------
    first : (K,) int64
        Voxel of the output in which each patch begins; negative where it begins in padding.
    start, stop : (K,) int64
        The half-open interval of the output that each patch is written to.
    weights : (K, length) float64
        What each patch weighs in each voxel of the output, 0 outside its interval.
    """

    first: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    stop: npt.NDArray[np.int64]
    weights: Weights

    def target(self, place: int) -> slice:
        """Return the voxels of the output that this patch is written to."""
        return slice(int(self.start[place]), int(self.stop[place]))

    def origin(self, place: int) -> slice:
        """Return the voxels of the patch that are written."""
        first = int(self.first[place])
        return slice(int(self.start[place]) - first, int(self.stop[place]) - first)


def place_windows(
    positions: npt.NDArray[np.int64],
    size: int,
    overlap: int,
    border: int,
    length: int,
    *,
    mode: str,
    factor: int = 1,
) -> AxisWindows:
    """Return where patches at `positions` along one axis go, in each overlap mode.

    In mode ``'crop'`` the intervals are a partition of the axis: a patch begins half an
    overlap after its first voxel and ends where the next one begins. In the other modes a
    patch counts in all its voxels.

    Parameters
    ----------
    positions : (K,) int64
        First voxels of the patches, ascending, in the padded volume.
    size, overlap, border, length : int
        Of the patch, of the overlap, of the padding before the volume, and of the volume
        without padding, in voxels.
    mode : {'crop', 'average', 'hann', 'gaussian'}
        How overlapping patches are joined.
    factor : int
        How many voxels of the volume one voxel of the output stands for.

    Raises
    ------
    AggregatorError
        A ValueError, if the mode is none of the four.

    Examples
    --------
    >>> windows = place_windows(np.array([0, 3, 5]), 5, 2, 0, 10, mode="crop")
    >>> [(windows.target(k), windows.origin(k)) for k in (0, 1)]
    [(slice(0, 4, None), slice(0, 4, None)), (slice(4, 6, None), slice(1, 3, None))]
    """
    if mode not in WINDOWS:
        raise AggregatorError(f"overlap_mode is one of {OVERLAP_MODES}, got {mode!r}")
    begin, count = border // factor, length // factor
    first = positions // factor - begin
    if mode == "crop":
        seams = (positions[1:] + overlap // 2) // factor - begin
        bounds = np.concatenate([[0], seams, [count]]).clip(0, count)
        start, stop = bounds[:-1], bounds[1:]
    else:
        start, stop = first.clip(0), (first + size // factor).clip(max=count)
    window = WINDOWS[mode](size // factor)
    weights = np.zeros((len(positions), count))
    for row, at, ini, fin in zip(weights, first, start, stop, strict=True):
        row[ini:fin] = window[ini - at : fin - at]
    return AxisWindows(first, start, stop, weights)
