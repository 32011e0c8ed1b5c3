"""Outputs: the memory, file or store in which an aggregated volume is built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol, final

import numpy as np

from voxloom.geometry import Shape3

if TYPE_CHECKING:
    import torch

Slices3 = tuple[slice, slice, slice]

BLOCK_VOXELS = 1 << 22


class Output(Protocol):
    """A volume ``(C, W, H, D)`` that is written box by box.

    The boxes are given as slices of the three spatial axes; all channels are meant.
    """

    channels: int
    dtype: torch.dtype

    def write(self, where: Slices3, voxels: torch.Tensor) -> None:
        """Put `voxels` into the box."""

    def edit(self, where: Slices3) -> AbstractContextManager[torch.Tensor]:
        """Give the voxels of the box to change in place; they are stored on leaving."""

    def blocks(self) -> Iterator[Slices3]:
        """Yield boxes of bounded size that cover the volume, each voxel once."""

    def whole(self) -> torch.Tensor:
        """Return all voxels as a tensor."""


def open_output(array: Any) -> Output:
    """Return the output that writes to a tensor, a NumPy array or memmap, or any array-like.

    One whose numbers do not lie as torch has them is written to box by box, as stores are.

    Examples
    --------
    >>> array = np.zeros((1, 4, 4, 4), dtype=np.float32)
    >>> with open_output(array).edit((slice(2), slice(2), slice(2))) as voxels:
    ...     voxels += 1
    >>> float(array.sum())
    8.0
    """
    import torch

    if isinstance(array, np.ndarray) and array.dtype.isnative:
        return TensorOutput(torch.from_numpy(array))
    if isinstance(array, torch.Tensor):
        return TensorOutput(array)
    return ArrayOutput(array)


def clear(output: Output) -> None:
    """Set every voxel to 0."""
    import torch

    for where in output.blocks():
        shape = [part.stop - part.start for part in where]
        output.write(where, torch.zeros((output.channels, *shape), dtype=output.dtype))


@final
class TensorOutput:
    """Writes to the memory of a tensor, which may be that of an array or a mapped file."""

    __slots__ = ("channels", "dtype", "tensor")

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor
        self.channels = tensor.shape[0]
        self.dtype = tensor.dtype

    def write(self, where: Slices3, voxels: torch.Tensor) -> None:
        """Put `voxels` into the box."""
        self.tensor[(slice(None), *where)] = voxels

    def edit(self, where: Slices3) -> AbstractContextManager[torch.Tensor]:
        """Give the voxels of the box, as a view."""
        return nullcontext(self.tensor[(slice(None), *where)])

    def blocks(self) -> Iterator[Slices3]:
        """Yield slabs across the first spatial axis."""
        _, width, height, depth = self.tensor.shape
        thickness = max(1, BLOCK_VOXELS // (height * depth))
        return _tiles((width, height, depth), (thickness, height, depth))

    def whole(self) -> torch.Tensor:
        """Return the tensor itself."""
        return self.tensor


@final
class ArrayOutput:
    """Writes to an array-like with ``shape``, ``dtype`` and slicing: Zarr, HDF5."""

    __slots__ = ("_native", "array", "channels", "dtype")

    def __init__(self, array: Any) -> None:
        import torch

        self.array = array
        self.channels = int(array.shape[0])
        self._native = np.dtype(array.dtype).newbyteorder("=")  # torch knows no other
        self.dtype = torch.from_numpy(np.empty(0, dtype=self._native)).dtype

    def write(self, where: Slices3, voxels: torch.Tensor) -> None:
        """Put `voxels` into the box."""
        self.array[(slice(None), *where)] = voxels.to(self.dtype).numpy()

    @contextmanager
    def edit(self, where: Slices3) -> Iterator[torch.Tensor]:
        """Read the box, give it, and write it back."""
        voxels = self._read(where)
        yield voxels
        self.write(where, voxels)

    def blocks(self) -> Iterator[Slices3]:
        """Yield boxes that are aligned to what the store writes at once."""
        shape: Shape3 = tuple(self.array.shape[1:])
        chunk = getattr(self.array, "shards", None) or getattr(self.array, "chunks", None)
        if chunk is None:
            thickness = max(1, BLOCK_VOXELS // (shape[1] * shape[2]))
            chunk = (0, thickness, *shape[1:])
        return _tiles(shape, tuple(chunk[1:]))

    def whole(self) -> torch.Tensor:
        """Read all voxels into memory."""
        return self._read((slice(None), slice(None), slice(None)))

    def _read(self, where: Slices3) -> torch.Tensor:
        import torch

        return torch.from_numpy(
            np.array(self.array[(slice(None), *where)], self._native, order="C")
        )


def _tiles(shape: Shape3, size: Shape3) -> Iterator[Slices3]:
    cuts = [
        [slice(at, min(at + step, length)) for at in range(0, length, step)]
        for length, step in zip(shape, size, strict=True)
    ]
    return ((i, j, k) for i, j, k in product(*cuts))
