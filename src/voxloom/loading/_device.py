"""Bringing a batch to where the model is, while the model works on the batch before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

Batch = dict[str, Any]


def is_turning(device: torch.device | None) -> bool:
    """Tell whether patches go to a device as their volumes lie, and get C order only there."""
    return device is not None and device.type == "cuda"


@dataclass(frozen=True, slots=True, eq=False)
class Unturned:
    """Voxels of a batch, each patch in a memory order of its own.

    Attributes
    ----------
    memory : (B, C, w, h, d) tensor
        Contiguous memory that they lie in; its values are those of patches in C order only.
    orders : str
        The order of each patch, C or F.
    """

    memory: torch.Tensor
    orders: str

    def turned(self, device: torch.device) -> torch.Tensor:
        """Return the voxels on a device, all in C order."""
        moved = self.memory.to(device, non_blocking=True)
        if "F" not in self.orders:
            return moved
        *front, w, h, d = moved.shape
        lying = moved.view(*front, d, h, w).transpose(-1, -3)
        if "C" not in self.orders:
            return lying.contiguous()
        turned = torch.empty_like(moved)
        for order, c_ordered, f_ordered, target in zip(
            self.orders, moved, lying, turned, strict=True
        ):
            target.copy_(c_ordered if order == "C" else f_ordered)
        return turned


@dataclass(frozen=True, slots=True, eq=False)
class DeviceBatch:
    """A batch on its way to a device; it is there when `arrived` says so."""

    batch: Batch
    arrived: Any = None


class DeviceCopier:
    """Copies batches to a device, for a GPU on a stream of its own.

    Page-locked memory is slow to get, but torch keeps what it got: a block is used again once the
    event of the copy out of it has passed. So as many blocks exist as there are batches ahead.

    Parameters
    ----------
    device : torch.device or None
        Where tensors go; None leaves them where they are.
    """

    def __init__(self, device: torch.device | None) -> None:
        self._device = device
        self.is_pinned = device is not None and device.type == "cuda"
        self.is_turning = is_turning(device)
        self._stream: Any = torch.cuda.Stream(device) if self.is_pinned else None  # type: ignore[no-untyped-call]

    def copy(self, batch: Batch) -> DeviceBatch:
        """Begin to copy a batch."""
        if self._device is None:
            return DeviceBatch(batch)
        if self._stream is None:
            return DeviceBatch(_moved(batch, self._device))
        with torch.cuda.stream(self._stream):
            moved = _moved(batch, self._device)
            return DeviceBatch(moved, self._stream.record_event())

    def hand_over(self, on_its_way: DeviceBatch) -> Batch:
        """Return the batch; work that the caller queues on the device waits until it is there."""
        if on_its_way.arrived is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_event(on_its_way.arrived)
            _record(on_its_way.batch, current)
        return on_its_way.batch


def _moved(item: Any, device: torch.device) -> Any:
    if isinstance(item, torch.Tensor):
        return item.to(device, non_blocking=True)
    if isinstance(item, Unturned):
        return item.turned(device)
    if isinstance(item, dict):
        return {name: _moved(value, device) for name, value in item.items()}
    return item


def _record(item: Any, stream: Any) -> None:
    """Keep the memory of a batch from being used again before the stream is done with it."""
    if isinstance(item, torch.Tensor):
        item.record_stream(stream)
    elif isinstance(item, dict):
        for value in item.values():
            _record(value, stream)
