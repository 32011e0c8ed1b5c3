"""Where the voxels of a batch lie: copied together, or in frames that the batch takes over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Protocol

import numpy as np
import torch

from voxloom.io import Array
from voxloom.loading._device import Unturned
from voxloom.loading._lending import Claim, Lender
from voxloom.loading._running import Patch
from voxloom.loading._slots import Field, Layout, in_order


class BatchVoxels(Protocol):
    """Brings the voxels of some patches together."""

    def add(self, patch: Patch) -> None:
        """Take the next patch; it may be released after that."""

    def tensors(self) -> Mapping[str, torch.Tensor | Unturned]:
        """Return the voxels by the name of the image, ``(B, C, w, h, d)``."""


class CopiedVoxels:
    """Copies each patch into memory of the batch's own.

    Parameters
    ----------
    size : int
        Number of patches.
    without : collection of str
        Images that are left out.
    """

    def __init__(self, size: int, *, without: Collection[str] = ()) -> None:
        self._size, self._without = size, without
        self._tensors: dict[str, torch.Tensor] = {}
        self._rooms: dict[str, Array] = {}
        self._count = 0

    def add(self, patch: Patch) -> None:
        """Copy the next patch."""
        if len(self._without) < len(patch.layout.fields):
            for name, array in patch.voxels.items():
                if name not in self._without:
                    np.copyto(self._room(name, array)[self._count], array)
        self._count += 1

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the voxels by the name of the image."""
        return self._tensors

    def _room(self, name: str, array: Array) -> Array:
        if name not in self._rooms:
            self._tensors[name] = _room(array, self._size)
            self._rooms[name] = self._tensors[name].numpy()
        return self._rooms[name]


class UnturnedVoxels:
    """Copies each patch as it lies, for a device that turns them.

    Parameters
    ----------
    size : int
        Number of patches.
    pinned : bool
        Whether to copy into page-locked memory, from which a GPU reads fastest.
    """

    def __init__(self, size: int, *, pinned: bool) -> None:
        self._size, self._pinned = size, pinned
        self._tensors: dict[str, torch.Tensor] = {}
        self._orders: defaultdict[str, str] = defaultdict(str)
        self._count = 0

    def add(self, patch: Patch) -> None:
        """Copy the next patch."""
        arrays = patch.voxels
        for field in patch.layout.fields:
            array = arrays[field.name]
            if field.name not in self._tensors:
                self._tensors[field.name] = _room(array, self._size, self._pinned)
            room = self._tensors[field.name][self._count].numpy()
            np.copyto(in_order(room, field.order), array)
            self._orders[field.name] += field.order
        self._count += 1

    def tensors(self) -> Mapping[str, Unturned]:
        """Return the voxels by the name of the image, with the order of each patch."""
        return {
            name: Unturned(tensor, self._orders[name]) for name, tensor in self._tensors.items()
        }


class OwnedVoxels:
    """Takes the frames that patches lie in, where that is possible, and copies them where not.

    Parameters
    ----------
    size : int
        Number of patches.
    lender : Lender
        Whoever gives frames away.
    """

    def __init__(self, size: int, lender: Lender) -> None:
        self._size, self._lender = size, lender
        self._claim: Claim | None = None
        self._layout: Layout | None = None
        self._whole: list[Field] = []
        self._taken: list[Patch] = []
        self._copied: CopiedVoxels | None = None

    def add(self, patch: Patch) -> None:
        """Take the frame of the next patch, and copy images that are not made of whole pages."""
        if self._copied is None:
            self._begin(patch)
        assert self._copied is not None
        if self._claim is not None and not self._lender.can_take(patch, self._layout):
            self._copy_all()
        self._copied.add(patch)
        if self._claim is not None:
            self._lender.take(self._claim, patch)
            self._taken.append(patch)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the voxels by the name of the image."""
        assert self._copied is not None
        if self._claim is None:
            return self._copied.tensors()
        try:
            shown = {
                field.name: torch.from_numpy(self._lender.show(self._claim, field))
                for field in self._whole
            }
        except OSError:  # the system allows no more mappings
            self._copy_all()
            return self._copied.tensors()
        return shown | self._copied.tensors()

    def _begin(self, patch: Patch) -> None:
        self._layout = patch.layout
        self._whole = [field for field in patch.layout.fields if self._lender.is_whole(field)]
        self._claim = self._lender.claim(self._size) if self._whole else None
        owned = [] if self._claim is None else [field.name for field in self._whole]
        self._copied = CopiedVoxels(self._size, without=owned)

    def _copy_all(self) -> None:
        """Copy what was taken: the frames are spare again."""
        self._copied = CopiedVoxels(self._size)
        for patch in self._taken:
            self._copied.add(patch)
        self._taken, self._claim = [], None


class ShownVoxels:
    """Voxels that lie together already.

    Parameters
    ----------
    tensors : dict of tensor
        By the name of the image, ``(B, C, w, h, d)``.
    """

    def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
        self._tensors = tensors

    def add(self, patch: Patch) -> None:
        """Do nothing: it is there."""

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the voxels by the name of the image."""
        return self._tensors


def _room(array: Array, size: int, pinned: bool = False) -> torch.Tensor:
    shape = (size, *array.shape)
    if not pinned:  # NumPy asks for huge pages: filling torch's own costs half as much again
        return torch.from_numpy(np.empty(shape, array.dtype))
    dtype = torch.from_numpy(np.empty(0, dtype=array.dtype)).dtype
    return torch.empty(shape, dtype=dtype, pin_memory=True)
