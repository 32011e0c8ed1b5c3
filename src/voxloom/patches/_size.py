"""Patch sizes: what a user may write, and what it means."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxloom._errors import PatchSizeError, PatchTooLargeError
from voxloom.geometry import Shape3


def parse_patch_size(value: Any) -> Shape3:
    """Return the patch size ``(w, h, d)`` in voxels that `value` stands for.

    Parameters
    ----------
    value : int or sequence of three int
        One number stands for all three axes. Integers, arrays and tensors of NumPy and torch
        will do; floats and booleans will not, whatever their value.

    Raises
    ------
    PatchSizeError
        If it is anything but one or three positive integers.

    Examples
    --------
    >>> parse_patch_size(64)
    (64, 64, 64)
    >>> parse_patch_size((70000, 1, 2))
    (70000, 1, 2)
    """
    entries = listed(value)
    if len(entries) != 3 or not all(is_whole(n) and n > 0 for n in entries):
        raise PatchSizeError(
            f"patch_size is a positive integer or three of them (w, h, d), in voxels; got {value!r}"
        )
    w, h, d = (int(n) for n in entries)
    return w, h, d


def is_whole(value: Any) -> bool:
    """Whether `value` is an integer by its type: True, 3.0 and '3' are not.

    Examples
    --------
    >>> is_whole(3), is_whole(np.int8(3)), is_whole(True), is_whole(3.0)
    (True, True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_patch_fits(patch_size: Shape3, spatial_shape: Shape3, subject: str) -> None:
    """Raise unless a patch fits in a volume.

    Raises
    ------
    PatchTooLargeError
        If it is larger along any axis; the message says both sizes and both remedies.

    Examples
    --------
    >>> check_patch_fits((4, 4, 4), (4, 5, 6), "sub-01")
    """
    if all(p <= n for p, n in zip(patch_size, spatial_shape, strict=True)):
        return
    raise PatchTooLargeError(
        f"a patch of size {patch_size} does not fit in {subject}, whose spatial shape is "
        f"{spatial_shape}; choose a smaller patch_size, or pad what overhangs with "
        "padding_mode='constant'"
    )


def listed(value: Any) -> tuple[Any, ...]:
    """Return the entries of a sequence, an array or a tensor; one number three times.

    Examples
    --------
    >>> listed(np.array([1, 2, 3])), listed(4), listed("text")
    ((1, 2, 3), (4, 4, 4), ())
    """
    plain = _plain(value)
    if isinstance(plain, str | bytes | dict | set):
        return ()
    try:
        return tuple(map(_plain, plain))
    except TypeError:
        return (plain,) * 3


def _plain(value: Any) -> Any:
    # An array or a tensor, told without importing torch.
    return value.tolist() if hasattr(value, "tolist") else value
