"""Masses: what a voxel of a map counts for when a centre is drawn.

A mass turns a region of the map, all its channels, into one number or one yes or no a voxel.
The sampling index sums masses over blocks, a draw looks at them within one block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import ProbabilityError
from voxloom.io import Array


@dataclass(frozen=True, slots=True)
class Mass(ABC):
    """What a voxel counts for.

    Attributes
    ----------
    dtype : numpy.dtype
        ``float64`` for weights, ``bool`` for voxels that count once or not at all.
    """

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.bool_)

    @abstractmethod
    def fill(self, region: Array, out: npt.NDArray[Any]) -> None:
        """Write the masses of a region ``(C, ...)`` of the map into `out`, ``(...)``."""

    def of(self, region: Array) -> npt.NDArray[Any]:
        """Return the masses of a region ``(C, ...)``, C-contiguous ``(...)``."""
        out = np.empty(region.shape[1:], dtype=self.dtype)
        self.fill(region, out)
        return out


@final
@dataclass(frozen=True, slots=True)
class Weights(Mass):
    """Every voxel counts for its value; several channels for their sum.

    Parameters
    ----------
    name : str
        What the map is called in messages.
    scale : float
        Factor on all values, a power of two: below 1 where their sum would overflow, above 1 where
        it is so small that shares of it would be rounded.

    Examples
    --------
    >>> Weights().of(np.array([[1, 2], [3, 0]])).tolist()
    [4.0, 2.0]
    """

    name: str = "the probability map"
    scale: float = 1.0

    dtype: ClassVar[np.dtype[Any]] = np.dtype(np.float64)

    def fill(self, region: Array, out: npt.NDArray[Any]) -> None:
        """Write the sums over channels into `out`."""
        np.copyto(out, region[0], casting="unsafe")
        if self.scale != 1.0:
            out *= self.scale
        for channel in region[1:]:
            out += channel if self.scale == 1.0 else channel * self.scale

    def check(self, region: Array) -> None:
        """Raise unless no voxel of the region is negative or NaN.

        Raises
        ------
        ProbabilityError
            If there is one.
        """
        if region.dtype.kind in "bu":
            return
        least = region.min()
        if not least >= 0:
            raise ProbabilityError(
                f"weights are 0 or more, and finite; {self.name} holds {least}: clip it, or "
                "replace what is not a number, before sampling"
            )


@final
@dataclass(frozen=True, slots=True)
class LabelVoxels(Mass):
    """Voxels of one label count once.

    Examples
    --------
    >>> LabelVoxels(3).of(np.array([[1, 3, 3]])).tolist()
    [False, True, True]
    """

    label: int

    def fill(self, region: Array, out: npt.NDArray[Any]) -> None:
        """Write into `out` where the first channel has the label."""
        try:
            np.equal(region[0], self.label, out=out)
        except OverflowError:  # it is beyond what any voxel of this dtype can hold
            out.fill(False)


@final
@dataclass(frozen=True, slots=True)
class ChannelVoxels(Mass):
    """Voxels that are not zero in one channel count once.

    Examples
    --------
    >>> ChannelVoxels(1).of(np.array([[1, 1, 1], [0, 2, 0]])).tolist()
    [False, True, False]
    """

    channel: int

    def fill(self, region: Array, out: npt.NDArray[Any]) -> None:
        """Write into `out` where the channel is not zero."""
        np.not_equal(region[self.channel], 0, out=out)


@final
@dataclass(frozen=True, slots=True)
class Foreground(Mass):
    """Voxels above zero in any channel count once.

    Examples
    --------
    >>> Foreground().of(np.array([[1, 0, -1], [0, 0, 2]])).tolist()
    [True, False, True]
    """

    def fill(self, region: Array, out: npt.NDArray[Any]) -> None:
        """Write into `out` where any channel is positive."""
        np.greater(region[0], 0, out=out)
        for channel in region[1:]:
            out |= channel > 0
