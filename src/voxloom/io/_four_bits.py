"""Label maps in memory with four bits a voxel, of which boxes are unpacked."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np

from voxloom.geometry import Box, Space
from voxloom.io._source import Array, VolumeSource

_BITS: Final = 4
_LARGEST: Final = 15


def to_four_bits(voxels: Array) -> bool:
    """Pack voxels where they lie, if four bits are enough for each of them; tell whether.

    Each two planes become one, at the beginning of the same memory. What is left of that becomes
    zeros.

    Parameters
    ----------
    voxels : (1, W, H, D) array, C-contiguous
        Labels from 0 to 15, of any integer type; with others, nothing is done.

    Examples
    --------
    >>> voxels = np.array([[[[1, 2]], [[3, 4]], [[5, 6]]]], np.uint8)
    >>> to_four_bits(voxels), voxels.ravel().tolist()
    (True, [49, 66, 5, 6, 0, 0])
    """
    channels, w, h, d = voxels.shape
    if voxels.dtype.kind not in "iu" or channels != 1:
        return False
    if voxels.min() < 0 or voxels.max() > _LARGEST:
        return False
    memory = voxels.reshape(-1).view(np.uint8)
    planes = _planes(memory, w, h, d)
    for number, plane in enumerate(planes):
        lower, *upper = voxels[0, 2 * number : 2 * number + 2].astype(np.uint8)
        plane[...] = lower
        for other in upper:
            plane |= other << _BITS
    memory[planes.size :] = 0
    return True


@final
class FourBitVolume(VolumeSource):
    """A label map that `to_four_bits` packed.

    Parameters
    ----------
    memory : array of uint8
        Where it lies; kept, not copied.
    dtype : numpy.dtype
        Of its voxels.
    space : Space
        Its grid.
    path : str or None
        Where the voxels came from.

    Examples
    --------
    >>> voxels = np.array([[[[1, 2]], [[3, 4]], [[5, 6]]]], np.int16)
    >>> memory, space = voxels.reshape(-1).view(np.uint8), Space((3, 1, 2), np.eye(4))
    >>> to_four_bits(voxels)
    True
    >>> FourBitVolume(memory, voxels.dtype, space).read(Box((1, 0, 0), (3, 1, 2))).tolist()
    [[[[3, 4]], [[5, 6]]]]
    """

    reads_regions = True

    def __init__(
        self, memory: Array, dtype: np.dtype[Any], space: Space, path: str | None = None
    ) -> None:
        self.shape = (1, *space.spatial_shape)
        self.dtype, self.space, self.path = dtype, space, path
        self._planes = _planes(memory, *space.spatial_shape)

    def read(self, box: Box | None = None) -> Array:
        """Return the voxels in `box`, or all, in memory of their own."""
        box = box or Box((0, 0, 0), self.spatial_shape)
        voxels = np.empty((1, *box.size), self.dtype)
        self.read_into(box, voxels)
        return voxels

    def read_into(self, box: Box, out: Array) -> None:
        """Unpack the voxels in `box` where they are wanted, ``(1, w, h, d)``."""
        self.check_box(box)
        i, l = box.index_ini[0], box.index_fin[0]  # noqa: E741
        lower, upper = out[0, i % 2 :: 2], out[0, 1 - i % 2 :: 2]
        _, rows, columns = box.slices
        planes = self._planes[:, rows, columns]
        np.bitwise_and(planes[-(-i // 2) : -(-l // 2)], _LARGEST, out=lower, casting="unsafe")
        np.right_shift(planes[i // 2 : l // 2], _BITS, out=upper, casting="unsafe")


def _planes(memory: Array, w: int, h: int, d: int) -> Array:
    count = -(-w // 2)
    planes: Array = memory[: count * h * d].reshape(count, h, d)
    return planes
