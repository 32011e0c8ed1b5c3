"""The voxels of a map as an index and a draw need them: in memory, or read part by part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from voxloom.geometry import Box, Shape3
from voxloom.io import Array, Shape4
from voxloom.subjects import Image

_PART_BYTES: Final = 2**25
"""What is read at once to index a map: two workers that do so stay far below a volume."""


@final
@dataclass(frozen=True, slots=True, eq=False)
class RegionReads:
    """The voxels of an image, each part read when it is asked for."""

    image: Image

    @property
    def shape(self) -> Shape4:
        """``(C, W, H, D)``."""
        return self.image.shape


Voxels = Array | RegionReads
"""A map ``(C, W, H, D)``."""


def read_part(voxels: Voxels, box: Box) -> Array:
    """Return the voxels of a map in a box, ``(C, w, h, d)``.

    Examples
    --------
    >>> from voxloom.subjects import LabelMap
    >>> parts = RegionReads(LabelMap(tensor=np.zeros((1, 20, 20, 20), dtype=np.uint8)))
    >>> read_part(parts, Box((16, 0, 0), (20, 8, 8))).shape
    (1, 4, 8, 8)
    """
    if isinstance(voxels, RegionReads):
        return voxels.image.read(box)
    return voxels[(slice(None), *box.slices)]


def parts_of(voxels: Voxels, part: Box, step: int) -> Iterator[list[Box]]:
    """Yield slabs of a box, each as the boxes to read one by one, in voxels of the map.

    What is in memory is one slab of one box. Of other maps each box holds whole chunks as far as
    `step` allows, and some tens of megabytes; slabs follow each other along the first axis.

    Parameters
    ----------
    voxels : Voxels
        The map.
    part : Box
        Which part of it.
    step : int
        What lengths are multiples of, counted from the beginning of the part.
    """
    if not isinstance(voxels, RegionReads):
        yield [part]
        return
    lengths = _lengths(voxels.image, part, step)
    bounds = [
        [(n, min(n + length, fin)) for n in range(ini, fin, length)]
        for ini, fin, length in zip(part.index_ini, part.index_fin, lengths, strict=True)
    ]
    for a, b in bounds[0]:
        yield [
            Box((a, c, e), (b, d, f)) for (c, d), (e, f) in itertools.product(bounds[1], bounds[2])
        ]


def held_labels(voxels: Voxels) -> list[float]:
    """Return the values that a map holds, or the channels in which it is not zero everywhere."""
    channels, w, h, d = voxels.shape
    held: set[float] = set()
    for boxes in parts_of(voxels, Box((0, 0, 0), (w, h, d)), 1):
        for box in boxes:
            array = read_part(voxels, box)
            found = np.flatnonzero(array.any(axis=(1, 2, 3))) if channels > 1 else np.unique(array)
            held.update(found.tolist())
    return sorted(held)


def _lengths(image: Image, part: Box, step: int) -> Shape3:
    """Return the lengths of what is read at once: a chunk, then as many as there is room for."""
    chunk = image.source.chunk_shape or (step, step, step)
    lengths = [
        min(-(-n // step), -(-size // step)) * step
        for n, size in zip(chunk, part.size, strict=True)
    ]
    voxel_bytes = image.shape[0] * image.source.dtype.itemsize
    grown = True
    while grown:
        grown = False
        for axis in (2, 1, 0):
            fits = 2 * math.prod(lengths) * voxel_bytes <= _PART_BYTES
            if fits and lengths[axis] < part.size[axis]:
                lengths[axis] *= 2
                grown = True
    return lengths[0], lengths[1], lengths[2]
