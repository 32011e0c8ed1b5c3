"""Several volumes of one space, taken together as the channels of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np

from voxloom._errors import SpaceMismatchError
from voxloom.geometry import Box
from voxloom.io._source import Array, VolumeSource


@final
class ChannelSource(VolumeSource):
    """Volumes stacked along the channel axis, in the order given.

    Parameters
    ----------
    sources : sequence of VolumeSource
        At least one. Their channels follow each other; the type is the one that holds all.
    space_tolerance : float
        How far a corner voxel may lie from its twin in the first volume, in voxels.

    Raises
    ------
    SpaceMismatchError
        If two of them differ in spatial shape, or lie apart.

    Examples
    --------
    >>> from voxloom.io import ArraySource
    >>> one = ArraySource(np.zeros((1, 4, 5, 6), dtype=np.int16))
    >>> ChannelSource([one, one]).shape
    (2, 4, 5, 6)
    """

    def __init__(self, sources: Sequence[VolumeSource], space_tolerance: float = 0.05) -> None:
        if not sources:
            raise ValueError("expected at least one volume to take channels from, got none")
        self.sources = tuple(sources)
        self.space_tolerance = space_tolerance
        first = self.sources[0]
        for place, other in enumerate(self.sources[1:], start=1):
            self._check_same_space(other, place)
        channels = sum(source.shape[0] for source in self.sources)
        self.shape = (channels, *first.spatial_shape)
        self.dtype = np.result_type(*(source.dtype for source in self.sources))
        self.space = first.space
        self.reads_regions = all(source.reads_regions for source in self.sources)
        self.chunk_shape = first.chunk_shape
        self.path = first.path

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, in the memory order that the volumes share."""
        if box is not None:
            self.check_box(box)
        return np.concatenate([source.read(box) for source in self.sources], dtype=self.dtype)

    def check_whole(self) -> None:
        """Raise VolumeReadError where one of the files is cut short."""
        for source in self.sources:
            source.check_whole()

    def _check_same_space(self, other: VolumeSource, place: int) -> None:
        first = self.sources[0]
        names = f"{first.path or 'volume 0'} and {other.path or f'volume {place}'}"
        remedy = "resample one onto the grid of the other to use both as channels of one image"
        if other.spatial_shape != first.spatial_shape:
            raise SpaceMismatchError(
                f"{names} have spatial shapes {first.spatial_shape} and {other.spatial_shape}; "
                f"{remedy}"
            )
        apart = first.space.distance_voxels(other.space)
        if apart > self.space_tolerance:
            raise SpaceMismatchError(
                f"{names} lie up to {first.space.distance_mm(other.space):.3g} mm "
                f"({apart:.3g} voxels) apart, more than {self.space_tolerance} voxels; {remedy}"
            )
