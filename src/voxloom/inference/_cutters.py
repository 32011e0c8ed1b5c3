"""Cutting the batches that a network gets, on the CPU or where the network is."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Protocol, final

import numpy as np

from voxloom.geometry import Box, Index3, Shape3
from voxloom.io import Array
from voxloom.patches import Grid
from voxloom.patches._cut import copy_image_box
from voxloom.patches._padding import PaddingMode
from voxloom.subjects import Image

if TYPE_CHECKING:
    import torch

    Batch = tuple[torch.Tensor, list[Index3]]

_DEVICE_SHARE = 0.25
_SLAB_VOXELS = 1 << 23
_MOST_BUFFERS = 4
_LARGE_BYTES = 1 << 28  # what was read of a larger volume is let go of: a map would fill the memory


class Cutter(Protocol):
    """Cuts patches, the channels of all images one after another, as float32."""

    waits: bool
    """Whether cutting takes time that another thread could save: reading, or a bus."""

    def cut(self, places: list[Index3]) -> Batch:
        """Return the patches at some places of the grid, and the places."""


def choose_cutter(
    images: list[Image], grid: Grid, padding_mode: PaddingMode, device: torch.device, axis: int
) -> Cutter:
    """Return what cuts fastest; places change along `axis` last.

    On a GPU where the padded volume takes little of its memory, each voxel is copied there
    once, and not with every patch that it belongs to. See docs/design/inference.md.
    """
    import torch

    if device.type == "cuda":
        voxels = sum(image.shape[0] for image in images) * np.prod(_extent(grid), dtype=np.int64)
        free, _ = torch.cuda.mem_get_info(device)
        if 4 * voxels < _DEVICE_SHARE * free:
            return DeviceCutter(images, grid, padding_mode, device)
        return HostCutter(images, grid, padding_mode, is_pinned=True)
    if all(image.is_loaded for image in images) and not all(map(_lies_alike, images)):
        return SlabCutter(images, grid, padding_mode, axis)
    return HostCutter(images, grid, padding_mode)


@final
class HostCutter:
    """Cuts patches on the CPU, of volumes of any size."""

    def __init__(
        self, images: list[Image], grid: Grid, padding_mode: PaddingMode, is_pinned: bool = False
    ) -> None:
        self.waits = is_pinned or not all(image.is_loaded for image in images)
        self._images, self._grid, self._padding_mode = images, grid, padding_mode
        self._is_pinned = is_pinned
        self._large = [image.source for image in images if _is_large(image)]
        self._buffers = Buffers()

    def cut(self, places: list[Index3]) -> Batch:
        """Return the patches in memory of the CPU, page-locked if asked."""
        import torch

        size = self._grid.patch_size
        batch = self._buffers.take((len(places), _channels(self._images), *size))
        for patch, place in zip(batch, places, strict=True):
            first = _first_voxel(self._grid, place)
            i, j, k = (n - border for n, border in zip(first, self._grid.border, strict=True))
            _copy(self._images, Box.at((i, j, k), size), patch, self._padding_mode)
        for source in self._large:
            source.release()
        tensor = torch.from_numpy(batch)
        return (tensor.pin_memory() if self._is_pinned else tensor), places


@final
class SlabCutter:
    """Cuts patches of volumes in memory whose axes lie in another order than those of a batch.

    Each voxel is turned once, and not with every patch that it belongs to, in a slab as thick
    as a patch, which moves along the axis that places change along last.
    """

    waits = False

    def __init__(
        self, images: list[Image], grid: Grid, padding_mode: PaddingMode, axis: int
    ) -> None:
        self._images, self._grid, self._padding_mode = images, grid, padding_mode
        self._axis, self._thickness = axis, grid.patch_size[axis]
        self._size = list(_extent(grid))
        self._size[axis] = self._thickness
        self._slab = np.empty((_channels(images), *self._size), dtype=np.float32)
        self._start = -self._thickness  # the plane of the padded volume that is its first
        self._buffers = Buffers()

    def cut(self, places: list[Index3]) -> Batch:
        """Return the patches in memory of the CPU."""
        import torch

        size = self._grid.patch_size
        batch = torch.from_numpy(self._buffers.take((len(places), len(self._slab), *size)))
        slab = torch.from_numpy(self._slab)
        for patch, place in zip(batch, places, strict=True):
            first = list(_first_voxel(self._grid, place))
            self._move(first[self._axis])
            first[self._axis] = 0
            i, j, k = (slice(n, n + length) for n, length in zip(first, size, strict=True))
            patch.copy_(slab[:, i, j, k])
        return batch, places

    def _move(self, start: int) -> None:
        import torch

        by = min(start - self._start, self._thickness)
        if by <= 0:
            return
        slab, along = torch.from_numpy(self._slab), 1 + self._axis
        move_planes(slab, along, by)
        first, size = [-n for n in self._grid.border], list(self._size)
        first[self._axis] += start + self._thickness - by
        size[self._axis] = by
        target = slab.narrow(along, self._thickness - by, by).numpy()
        (i, j, k), (w, h, d) = first, size
        _copy(self._images, Box.at((i, j, k), (w, h, d)), target, self._padding_mode)
        self._start = start


@final
class Buffers:
    """Memory for batches, used again once nothing refers to it: fresh pages take long.

    A tensor over an array keeps the array alive, so that an array that is gone says that no
    tensor, view or gradient over it is left, whatever the network kept.
    """

    def __init__(self) -> None:
        self._lent: list[tuple[Array, weakref.ref[Array]]] = []

    def take(self, shape: tuple[int, ...]) -> Array:
        """Return a float32 array that nobody else has, with any content."""
        voxels = int(np.prod(shape))
        for n, (memory, lent) in enumerate(self._lent):
            if lent() is None and memory.size >= voxels:
                array = memory[:voxels].reshape(shape)
                self._lent[n] = memory, weakref.ref(array)
                return array
        memory = np.empty(voxels, dtype=np.float32)
        array = memory.reshape(shape)
        if len(self._lent) < _MOST_BUFFERS:
            self._lent.append((memory, weakref.ref(array)))
        return array


@final
class DeviceCutter:
    """Brings the padded volume to a device, slab by slab, and cuts patches there."""

    waits = True

    def __init__(
        self, images: list[Image], grid: Grid, padding_mode: PaddingMode, device: torch.device
    ) -> None:
        import torch

        self._grid = grid
        extent = _extent(grid)
        self._volume = torch.empty((_channels(images), *extent), device=device)
        thickness = max(_SLAB_VOXELS // (extent[1] * extent[2]), 1)
        for first in range(0, extent[0], thickness):
            size = min(thickness, extent[0] - first), extent[1], extent[2]
            slab = np.empty((_channels(images), *size), dtype=np.float32)
            i, j, k = grid.border
            _copy(images, Box.at((first - i, -j, -k), size), slab, padding_mode)
            self._volume[:, first : first + size[0]] = torch.from_numpy(slab)

    def cut(self, places: list[Index3]) -> Batch:
        """Return the patches on the device."""
        import torch

        boxes = [Box.at(_first_voxel(self._grid, place), self._grid.patch_size) for place in places]
        return torch.stack([self._volume[(slice(None), *box.slices)] for box in boxes]), places


def move_planes(volume: torch.Tensor, axis: int, by: int) -> int:
    """Move planes of a tensor to those `by` before them; return how many there were to move."""
    kept = max(volume.shape[axis] - by, 0)
    for at in range(0, kept, by):  # pieces that do not overlap what they are copied to
        length = min(by, kept - at)
        volume.narrow(axis, at, length).copy_(volume.narrow(axis, at + by, length))
    return kept


def _copy(images: list[Image], box: Box, out: Array, padding_mode: PaddingMode) -> None:
    import torch

    first = 0
    for image in images:
        last = first + image.shape[0]
        if _lies_alike(image) and box.fits(image.spatial_shape):
            # torch copies on all its threads, which nobody else uses meanwhile
            torch.from_numpy(out[first:last]).copy_(image.data[(slice(None), *box.slices)])
        else:
            copy_image_box(image, box, out[first:last], padding_mode)
        first = last


def _lies_alike(image: Image) -> bool:
    """Return whether the voxels are in memory in the order that a batch has."""
    return image.is_loaded and image.array.strides[-1] == image.array.itemsize


def _is_large(image: Image) -> bool:
    voxels = int(np.prod(image.shape, dtype=np.int64))
    return not image.is_loaded and voxels * image.dtype.itemsize > _LARGE_BYTES


def _channels(images: list[Image]) -> int:
    return sum(image.shape[0] for image in images)


def _extent(grid: Grid) -> Shape3:
    """Return how far the patches of a grid reach along each axis."""
    w, h, d = (int(grid.positions(axis)[-1]) + grid.patch_size[axis] for axis in range(3))
    return w, h, d


def _first_voxel(grid: Grid, place: Index3) -> Index3:
    """Return where a patch begins, in the padded volume."""
    i, j, k = (int(grid.positions(axis)[n]) for axis, n in enumerate(place))
    return i, j, k
