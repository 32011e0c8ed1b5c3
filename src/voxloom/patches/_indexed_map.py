"""A map with its sampling index: of its voxels only what a draw needs is read, where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final

from voxloom.geometry import Box
from voxloom.io import Array, Shape4
from voxloom.patches._block_index import BlockIndex, index_masses
from voxloom.patches._mass import Mass
from voxloom.patches._stored_index import load_index
from voxloom.subjects import Image


class Voxels(Protocol):
    """What a draw needs of a map ``(C, W, H, D)``: its shape, and parts of it."""

    @property
    def shape(self) -> Any:
        """``(C, W, H, D)``."""

    def __getitem__(self, slices: tuple[slice, slice, slice, slice], /) -> Array: ...


@final
@dataclass(frozen=True, slots=True, eq=False)
class RegionReads:
    """The voxels of an image, each part read when it is asked for.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import LabelMap
    >>> parts = RegionReads(LabelMap(tensor=np.zeros((1, 20, 20, 20), dtype=np.uint8)))
    >>> parts[:, 16:24, 0:8, 0:8].shape
    (1, 4, 8, 8)
    """

    image: Image

    @property
    def shape(self) -> Shape4:
        """``(C, W, H, D)``."""
        return self.image.shape

    def __getitem__(self, slices: tuple[slice, slice, slice, slice], /) -> Array:
        ini, fin = [], []
        for part, count in zip(slices[1:], self.shape[1:], strict=True):
            first, last, _ = part.indices(count)
            ini.append(first)
            fin.append(last)
        return self.image.read(Box((ini[0], ini[1], ini[2]), (fin[0], fin[1], fin[2])))


def indexed_map(
    image: Image, masses: Sequence[Mass], within: Box | None = None
) -> tuple[Voxels, list[BlockIndex]]:
    """Return the voxels of a map and the index of each mass.

    A prepared store keeps the index, so nothing is read to begin with; of any other map all
    voxels are read once, through a memory map where the file allows it. Where voxels are only
    drawn `within` a box, the index may leave the blocks outside at zero.
    """
    if image.is_loaded or not image.source.reads_regions:
        return image.array, index_masses(image.array, masses, within)
    stored = load_index(image.source, masses)
    if stored is not None:
        return RegionReads(image), stored
    array = image.read()
    return array, index_masses(array, masses, within)
