"""Workers of a DataLoader over a queue, which has workers of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping
from typing import Any, Final

from torch.utils.data import get_worker_info

from voxloom._errors import QueueError

_FOR_WORKERS: Final = (
    "persistent_workers",
    "prefetch_factor",
    "timeout",
    "multiprocessing_context",
)


def check_no_outer_worker() -> None:
    """Raise QueueError in a worker of a DataLoader, where an epoch would be taken apart.

    What a loader with threads for workers says of them, as MONAI's can, it may leave behind.
    """
    if get_worker_info() is not None and multiprocessing.parent_process() is not None:
        raise QueueError(_explain())


def check_loader_arguments(arguments: Mapping[str, Any]) -> None:
    """Raise QueueError if a loader over a queue is asked for workers, or for what they need.

    Examples
    --------
    >>> check_loader_arguments({"batch_size": 4, "num_workers": 0, "pin_memory": True})
    """
    if any(arguments.get(name) for name in ("num_workers", *_FOR_WORKERS)):
        raise QueueError(_explain())


def _explain() -> str:
    *most, last = _FOR_WORKERS
    return (
        "a queue has workers of its own: use DataLoader(queue, num_workers=0) and "
        f"Queue(..., num_workers=...) instead, and leave out {', '.join(most)} and {last}: the "
        "queue's workers persist, work ahead by its max_length, and have its own timeout and "
        "start_method"
    )
