"""Who does the work: the trainer itself, threads or processes."""

from __future__ import annotations

import multiprocessing
from typing import Literal

from voxloom._errors import QueueError
from voxloom.loading._inline import InlineExecutor
from voxloom.loading._memory_cache import MemoryCache
from voxloom.loading._messages import Executor
from voxloom.loading._processes import ProcessExecutor, StartMethod
from voxloom.loading._slots import SlotMemory
from voxloom.loading._threads import ThreadExecutor
from voxloom.loading._work import WorkSpec

ExecutorName = Literal["processes", "threads", "inline"]


def choose_executor(wanted: str | None, num_workers: int) -> ExecutorName:
    """Return who works: what is wanted, else processes if there are workers.

    Raises
    ------
    ValueError
        If there is no such executor, or it does not go with the number of workers.

    Examples
    --------
    >>> choose_executor(None, 0), choose_executor(None, 2), choose_executor("threads", 2)
    ('inline', 'processes', 'threads')
    """
    names: dict[str | None, ExecutorName] = {
        None: "processes" if num_workers else "inline",
        "processes": "processes",
        "threads": "threads",
        "inline": "inline",
    }
    if wanted not in names:
        raise ValueError(f"executor is 'processes', 'threads' or 'inline', got {wanted!r}")
    if (names[wanted] == "inline") != (num_workers == 0):
        raise ValueError(
            f"executor='inline' is for num_workers=0 and the others are for more, got "
            f"executor={wanted!r} and num_workers={num_workers}"
        )
    return names[wanted]


def make_executor(
    name: ExecutorName,
    spec: WorkSpec,
    memory: SlotMemory,
    num_workers: int,
    start_method: StartMethod,
    cache_bytes: int,
) -> Executor:
    """Start the workers, with so many bytes for volumes that stay decoded.

    Raises
    ------
    QueueError
        If there are too few descriptors, or too little of what else processes need.
    """
    if name == "processes" and multiprocessing.current_process().daemon:
        raise QueueError(
            "a daemonic process may start no workers: use executor='threads' or num_workers=0, or "
            "start this process with daemon=False"
        )
    try:
        cache = MemoryCache(cache_bytes)
        if name == "inline":
            return InlineExecutor(spec, memory, cache)
        if name == "threads":
            return ThreadExecutor(spec, memory, num_workers, cache)
        return ProcessExecutor(spec, memory, num_workers, start_method, cache)
    except OSError as error:
        raise QueueError(
            f"{num_workers} workers could not be started: {error}; use fewer, or raise the limits "
            f"of open files, processes and memory (ulimit -n, -u and -v)"
        ) from error
