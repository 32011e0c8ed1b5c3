"""What an image takes as voxels, and how torch can share their memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxloom._errors import ImageError
from voxloom.io import Array

if TYPE_CHECKING:
    import torch

    Voxels = torch.Tensor | Array

_WIDER: Final[dict[np.dtype[Any], np.dtype[Any]]] = {
    np.dtype(np.uint16): np.dtype(np.int32),
    np.dtype(np.uint32): np.dtype(np.int64),
}


def widened(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type that holds all values of `dtype` and that torch computes with.

    Examples
    --------
    >>> widened(np.dtype(np.uint16)), widened(np.dtype(np.float32))
    (dtype('int32'), dtype('float32'))
    """
    return _WIDER.get(dtype, dtype)


def as_voxels(voxels: Any) -> Array:
    """Return a tensor or an array as ``(C, W, H, D)`` voxels, without copying where possible.

    Raises
    ------
    ImageError
        A ValueError and TypeError, if it is something else, has other axes, or holds
        something else than numbers.

    Examples
    --------
    >>> as_voxels(np.zeros((1, 4, 5, 6), dtype=np.uint16)).dtype
    dtype('int32')
    """
    array = _as_array(voxels)
    if array.ndim != 4 or 0 in array.shape:
        raise ImageError(
            f"voxels have four axes (C, W, H, D), none empty; got shape {array.shape}; "
            f"a single volume becomes one channel with volume[None]"
        )
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        raise ImageError(
            f"voxels are booleans, integers or floats of at most 64 bits, got {array.dtype}"
        )
    array = array.astype(widened(array.dtype.newbyteorder("=")), copy=False)
    return array.copy(order="K") if any(step < 0 for step in array.strides) else array


def shareable(array: Array) -> Array | None:
    """Return `array` if a tensor may share its memory, None where it must be copied first.

    A read-only array, such as a memory map, is not copied before someone wants to write.
    """
    return array if array.flags.writeable and array.dtype == widened(array.dtype) else None


def _as_array(voxels: Any) -> Array:
    if isinstance(voxels, np.ndarray):
        return voxels
    if not hasattr(voxels, "detach"):  # a tensor, without importing torch to know
        raise ImageError(
            f"voxels are a tensor or an array (C, W, H, D), got {type(voxels).__name__}"
        )
    try:
        array: Array = voxels.detach().cpu().numpy()
    except TypeError as error:
        raise ImageError(f"NumPy has no type for a {voxels.dtype} tensor; use .float()") from error
    return array
