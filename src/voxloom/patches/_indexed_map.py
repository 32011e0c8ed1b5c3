"""A map with its sampling index: of its voxels only what a draw needs is held, where it can be."""

from __future__ import annotations

from collections.abc import Sequence

from voxloom.geometry import Box
from voxloom.patches._block_index import BlockIndex, index_masses
from voxloom.patches._mass import Mass
from voxloom.patches._stored_index import load_index
from voxloom.patches._voxels import RegionReads, Voxels
from voxloom.subjects import Image


def indexed_map(
    image: Image, masses: Sequence[Mass], within: Box | None = None
) -> tuple[Voxels, list[BlockIndex]]:
    """Return the voxels of a map and the index of each mass.

    A prepared store keeps the index, so nothing is read to begin with; any other map that is read
    by region is read once, part by part, and not held. Where voxels are only drawn `within` a
    box, the index may leave the blocks outside at zero.
    """
    voxels: Voxels = map_voxels(image)
    if isinstance(voxels, RegionReads):
        stored = load_index(image.source, masses)
        if stored is not None:
            return voxels, stored
    return voxels, index_masses(voxels, masses, within)


def map_voxels(image: Image) -> Voxels:
    """Return the voxels of a map, in memory unless it is read by region."""
    if image.is_loaded or not image.source.reads_regions:
        return image.array
    return RegionReads(image)
