"""Doing the next piece of work in a thread while the last one is used."""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Callable, Generator, Iterable
from typing import Any, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_WAIT_S = 0.1
_GRACE_S = 2.0


def read_ahead(
    work: Callable[[_Item], _Result], items: Iterable[_Item], depth: int = 2
) -> Generator[_Result, None, None]:
    """Yield ``work(item)`` in order; a thread is up to `depth` results ahead.

    What the work raises is raised here, when its turn comes. The thread ends when the
    iterator is closed.

    Examples
    --------
    >>> list(read_ahead(abs, [-1, -2]))
    [1, 2]
    """
    results: queue.Queue[tuple[str, Any]] = queue.Queue(depth)
    stop = threading.Event()

    def put(kind: str, value: Any) -> None:
        while not stop.is_set():
            try:
                results.put((kind, value), timeout=_WAIT_S)
                break
            except queue.Full:
                continue

    def run() -> None:
        try:
            for item in items:
                put("result", work(item))
                if stop.is_set():
                    return
            put("end", None)
        except BaseException as error:  # the thread has nobody else to tell
            put("error", error)

    thread = threading.Thread(target=run, name="voxloom-read-ahead", daemon=True)
    thread.start()

    def end_with_python() -> None:  # a thread that leaves torch while Python ends aborts it
        stop.set()
        thread.join(_GRACE_S)

    atexit.register(end_with_python)
    try:
        while True:
            kind, value = results.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        atexit.unregister(end_with_python)
        stop.set()
        thread.join()
