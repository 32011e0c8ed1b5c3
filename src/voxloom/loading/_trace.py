"""What workers and trainer did, as a trace that Perfetto and chrome://tracing show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from voxloom.loading._marks import TRAINER, Mark


def write_trace(path: str | os.PathLike[str], marks: Iterable[Mark], workers: int) -> None:
    """Write marks in the trace event format of Chrome, as JSON.

    A row for the trainer shows its waits, one for each worker the subjects it opened and the
    patches it cut; a click shows subject, epoch and the milliseconds of each stage.

    Parameters
    ----------
    path : path
        The file; an existing one is replaced once all is written.
    marks : iterable of Mark
        What was done.
    workers : int
        Number of workers.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    ordered = sorted(marks, key=lambda mark: mark.begin_s)
    start = ordered[0].begin_s if ordered else 0.0
    events = [*_rows(workers), *(_event(mark, start) for mark in ordered)]
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    text = json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


def _rows(workers: int) -> Iterator[dict[str, Any]]:
    yield {"ph": "M", "name": "process_name", "pid": 0, "args": {"name": "voxloom queue"}}
    for worker in (TRAINER, *range(workers)):
        name = "trainer" if worker == TRAINER else f"worker {worker}"
        yield {
            "ph": "M",
            "name": "thread_name",
            "pid": 0,
            "tid": worker + 1,
            "args": {"name": name},
        }


def _event(mark: Mark, start: float) -> dict[str, Any]:
    arguments: dict[str, Any] = {"epoch": mark.epoch}
    if mark.subject is not None:
        arguments["subject"] = mark.subject
    arguments.update({f"{name} (ms)": 1e3 * took for name, took in mark.seconds.items()})
    return {
        "ph": "X",
        "name": mark.name,
        "cat": "trainer" if mark.worker == TRAINER else "worker",
        "pid": 0,
        "tid": mark.worker + 1,
        "ts": 1e6 * (mark.begin_s - start),
        "dur": 1e6 * max(mark.end_s - mark.begin_s, 0.0),
        "args": arguments,
    }
