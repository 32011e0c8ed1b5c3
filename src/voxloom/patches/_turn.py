"""A volume turned into the memory order of patches, a slab at a time, on its way to a file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt

from voxloom.geometry import Box
from voxloom.io import Array
from voxloom.patches._cut import copy_box

_SLAB_BYTES: Final = 4 << 20  # warm in the last-level cache when it is written
_LEAST_PLANES: Final = 32  # of voxels of two bytes a whole cache line, in the order they come in
_MOST_KEPT_BYTES: Final = 64 << 20
_kept = threading.local()


def kept_memory(use: str, nbytes: int) -> npt.NDArray[np.uint8]:
    """Return memory for one use of this thread: that of its last one where it is long enough.

    What was touched before is there at once. New memory must be cleared by the system, and on a
    virtual machine it may have to come from the host, which can cost more than decoding into it.

    Examples
    --------
    >>> memory = kept_memory("example", 10)
    >>> len(memory), np.shares_memory(memory, kept_memory("example", 8))
    (10, True)
    """
    kept: npt.NDArray[np.uint8] | None = getattr(_kept, use, None)
    if kept is None or len(kept) < nbytes:
        kept = np.empty(nbytes, np.uint8)
        if nbytes <= _MOST_KEPT_BYTES:
            setattr(_kept, use, kept)
    return kept[:nbytes]


def give_memory(use: str) -> None:
    """Leave the memory of a use to whoever holds it: the next use gets other memory."""
    if hasattr(_kept, use):
        delattr(_kept, use)


def c_order_pieces(voxels: Array) -> Iterator[memoryview]:
    """Yield the bytes of a volume in C order, each piece in memory that the next overwrites.

    Turning slabs costs half of what turning the volume does, and takes no second volume.

    Parameters
    ----------
    voxels : (C, W, H, D) array
        In any memory order; those in C order are not copied.

    Examples
    --------
    >>> volume = np.asfortranarray(np.arange(24, dtype=np.uint8).reshape(1, 2, 3, 4))
    >>> list(b"".join(c_order_pieces(volume))) == list(range(24))
    True
    """
    if voxels.flags.c_contiguous:
        yield voxels.reshape(-1).view(np.uint8).data
        return
    _, w, h, d = voxels.shape
    planes = min(max(_SLAB_BYTES // (h * d * voxels.itemsize), _LEAST_PLANES), w)
    memory = kept_memory("slab", planes * h * d * voxels.itemsize)
    slab = memory.view(voxels.dtype).reshape(1, planes, h, d)
    for channel in voxels:
        for first in range(0, w, planes):
            piece = slab[:, : min(planes, w - first)]
            copy_box(channel[None], Box((first, 0, 0), (first + piece.shape[1], h, d)), piece)
            yield piece.reshape(-1).view(np.uint8).data
