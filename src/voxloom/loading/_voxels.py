"""Where the voxels of a batch lie: copied together, or in frames that the batch takes over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any, Protocol

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
        self._without = without
        self._rooms = _Rooms(size)
        self._count = 0

    def add(self, patch: Patch) -> None:
        """Copy the next patch."""
        if len(self._without) < len(patch.layout.fields):
            for name, array in patch.voxels.items():
                if name not in self._without:
                    np.copyto(self._rooms.of(name, self._count, array), array)
        self._count += 1

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the voxels by the name of the image."""
        return self._rooms.tensors


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
        self._rooms = _Rooms(size, pinned=pinned)
        self._orders: defaultdict[str, str] = defaultdict(str)
        self._count = 0

    def add(self, patch: Patch) -> None:
        """Copy the next patch."""
        arrays = patch.voxels
        for field in patch.layout.fields:
            array = arrays[field.name]
            room = self._rooms.of(field.name, self._count, array)
            np.copyto(in_order(room, field.order), array)
            self._orders[field.name] += field.order
        self._count += 1

    def tensors(self) -> Mapping[str, Unturned]:
        """Return the voxels by the name of the image, with the order of each patch."""
        return {
            name: Unturned(tensor, self._orders[name])
            for name, tensor in self._rooms.tensors.items()
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


class _Rooms:
    """Memory for the images of a batch. Where patches differ in dtype, it takes all of them.

    That is the dtype to which `numpy.stack` promotes them.

    Parameters
    ----------
    size : int
        Number of patches.
    pinned : bool
        Whether it is page-locked.

    Attributes
    ----------
    tensors : dict of tensor
        By the name of the image, ``(B, C, w, h, d)``.
    """

    def __init__(self, size: int, *, pinned: bool = False) -> None:
        self._size, self._pinned = size, pinned
        self._dtypes: defaultdict[str, list[np.dtype[Any]]] = defaultdict(list)
        self._arrays: dict[str, Array] = {}
        self.tensors: dict[str, torch.Tensor] = {}

    def of(self, name: str, number: int, array: Array) -> Array:
        """Return where one patch of an image goes; those before it are there."""
        known = self._dtypes[name]
        if array.dtype not in known:
            known.append(array.dtype)
            self._make(name, number, (self._size, *array.shape), np.result_type(*known))
        room: Array = self._arrays[name][number]
        return room

    def _make(self, name: str, number: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        before = self._arrays.get(name)
        if before is not None and before.dtype == dtype:
            return
        self.tensors[name] = _empty(shape, dtype, pinned=self._pinned)
        self._arrays[name] = self.tensors[name].numpy()
        if before is not None:
            np.copyto(self._arrays[name][:number], before[:number])


def _empty(shape: tuple[int, ...], dtype: np.dtype[Any], *, pinned: bool) -> torch.Tensor:
    if not pinned:  # NumPy asks for huge pages: filling torch's own costs half as much again
        return torch.from_numpy(np.empty(shape, dtype))
    pinnable = torch.from_numpy(np.empty(0, dtype=dtype)).dtype
    return torch.empty(shape, dtype=pinnable, pin_memory=True)
