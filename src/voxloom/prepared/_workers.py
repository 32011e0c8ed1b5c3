"""Processes that each do one thing at a time, and end when whoever asked for it does."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, TypeVar

from voxloom._errors import PreparedError, VoxloomError
from voxloom._interrupts import ignore_interrupts, without_interrupts

_T = TypeVar("_T")


def map_in_processes(
    work: Callable[[int], _T], numbers: Sequence[int], num_workers: int
) -> Iterator[tuple[int, _T]]:
    """Yield each number and what `work` makes of it, in whatever order they are done.

    Parameters
    ----------
    work : callable
        Sent to each process once.
    numbers : sequence of int
        What to call it with.
    num_workers : int
        How many processes; 0 for none.

    Raises
    ------
    PreparedError
        If a process died; whatever `work` raised, if it did.
    """
    if num_workers == 0:
        yield from ((number, work(number)) for number in numbers)
        return
    context = multiprocessing.get_context("spawn")
    pairs = [context.Pipe() for _ in range(min(num_workers, len(numbers)))]
    workers = {
        ours: context.Process(target=_run, args=(theirs, work), daemon=True)
        for ours, theirs in pairs
    }
    try:
        for (_, theirs), worker in zip(pairs, workers.values(), strict=True):
            with without_interrupts():
                worker.start()
            theirs.close()  # so that the pipe closes when the worker dies
        yield from _collect(list(workers), list(numbers))
    finally:
        for ours, worker in workers.items():
            ours.close()
            worker.join(timeout=1)
            worker.kill()
            worker.join()


def _collect(pipes: list[Connection[Any, Any]], waiting: list[int]) -> Iterator[tuple[int, Any]]:
    waiting.reverse()
    busy: dict[Connection[Any, Any], int] = {}
    for pipe in pipes:
        _hand_out(pipe, waiting, busy)
    while busy:
        for ready in wait(list(busy)):
            number = busy.pop(ready)  # type: ignore[call-overload]
            yield number, _result(ready, number)
            _hand_out(ready, waiting, busy)


def _hand_out(pipe: Any, waiting: list[int], busy: dict[Any, int]) -> None:
    if waiting:
        busy[pipe] = waiting.pop()
        pipe.send(busy[pipe])


def _result(pipe: Any, number: int) -> Any:
    try:
        failed, value = pipe.recv()
    except EOFError:
        raise PreparedError(
            f"the process that prepared subject {number} died; the system may have ended it for "
            "its memory: use fewer workers. What is done is kept, run it again to go on"
        ) from None
    if failed:
        raise value
    return value


def _run(pipe: Any, work: Callable[[int], Any]) -> None:
    ignore_interrupts()
    _serve(pipe, work)


def _serve(pipe: Any, work: Callable[[int], Any]) -> None:
    while True:
        try:
            number = pipe.recv()
        except (EOFError, ConnectionError):  # whoever asks has gone
            return
        try:
            answer = (False, work(number))
        except VoxloomError as error:
            answer = (True, error)
        except Exception as error:
            text = f"subject {number} cannot be prepared, {type(error).__name__}: {error}"
            answer = (True, PreparedError(text))
        try:
            pipe.send(answer)
        except ConnectionError:
            return
