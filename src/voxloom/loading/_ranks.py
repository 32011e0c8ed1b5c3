"""Which rank this process is, and of how many."""

from __future__ import annotations

import os
import sys
from typing import Any

from voxloom.loading._plan import Share


def find_share(rank: int | None, world: int | None, lanes: int | None) -> Share:
    """Return this process's share of every epoch.

    Rank and world come from the arguments, else from `torch.distributed` where it is
    initialised, else from the environment that torchrun sets, else there is one rank.

    Raises
    ------
    ValueError
        If they do not fit together.
    """
    if (rank is None) != (world is None):
        raise ValueError(f"rank and world belong together, got rank={rank}, world={world}")
    if rank is None or world is None:
        rank, world = _from_torch() or _from_environment()
    return Share(rank, world, world if lanes is None else lanes)


def agree_on(value: int) -> int | None:
    """Return the value of rank 0; None where ranks cannot talk to each other, or not yet."""
    distributed = _distributed()
    if distributed is None or distributed.get_world_size() == 1:
        return None
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return int(values[0])


def _distributed() -> Any:
    torch = sys.modules.get("torch")
    if torch is None or not torch.distributed.is_available():
        return None
    return torch.distributed if torch.distributed.is_initialized() else None


def _from_torch() -> tuple[int, int] | None:
    distributed = _distributed()
    if distributed is None:
        return None
    return int(distributed.get_rank()), int(distributed.get_world_size())


def _from_environment() -> tuple[int, int]:
    try:
        return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    except (KeyError, ValueError):
        return 0, 1
