"""What the arguments of a queue must be."""

from __future__ import annotations

from typing import Any

import torch

from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import Subject


def check_arguments(dataset: Any, sampler: Any, start_method: str) -> None:
    """Check what a queue is made of.

    Raises
    ------
    TypeError, ValueError
        If there is no data set, no sampler, or no such way to start workers.
    """
    is_map_style = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if not is_map_style or isinstance(dataset, Subject):
        raise TypeError(
            f"a queue takes a SubjectsDataset, got {type(dataset).__name__}; "
            f"use Queue(SubjectsDataset(subjects), ...)"
        )
    if not isinstance(sampler, PatchSampler | GridSampler):
        raise TypeError(f"a queue takes a PatchSampler, got {type(sampler).__name__}")
    if start_method not in ("spawn", "forkserver"):
        raise ValueError(f"workers start by 'spawn' or 'forkserver', got {start_method!r}")


def whole(name: str, value: Any, *, least: int | None = None) -> int:
    """Return a whole number.

    Raises
    ------
    ValueError
        If it is none, or below `least`.

    Examples
    --------
    >>> whole("max_length", 300, least=1)
    300
    """
    is_whole = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_whole or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise ValueError(f"{name} is a whole number{bound}, got {value!r}")
    return int(value)


def draw_seed() -> int:
    """Return a seed from torch's generator, so that `torch.manual_seed` decides it."""
    return int(torch.randint(2**63 - 1, (1,), dtype=torch.int64).item())
