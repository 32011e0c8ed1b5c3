"""What a queue measured, written down as it goes: lines of JSON, or scalars for TensorBoard."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

if TYPE_CHECKING:
    from voxloom.loading import Queue, QueueStats

_SCALARS: Final = ("patches_per_s", "waiting_share", "fill_mean", "busy")


class ScalarWriter(Protocol):
    """What `torch.utils.tensorboard.SummaryWriter` can do, and its likes."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> Any:
        """Write one value."""


class QueueLog:
    """Writes down what a queue measured, every so often, until it is closed.

    The last line is written when it is closed. It does not keep the queue alive.
    """

    def __init__(self, queue: Queue, write: Callable[[QueueStats], None], every_s: float) -> None:
        if not every_s > 0:
            raise ValueError(f"every_s is a number of seconds above 0, got {every_s!r}")
        self._queue = weakref.ref(queue)
        self._write, self._every_s = write, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voxloom-log", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write once more and stop. It may be called again."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            self._note()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _run(self) -> None:
        while not self._ended.wait(self._every_s) and self._note():
            pass

    def _note(self) -> bool:
        """Write down what is known now. Tell whether there is still a queue."""
        queue = self._queue()
        if queue is None:
            return False
        self._write(queue.stats())
        return True


def log_jsonl(queue: Queue, path: str | Path, *, every_s: float = 1.0) -> QueueLog:
    """Append what a queue measured to a file, one JSON object a line.

    Parameters
    ----------
    queue : Queue
        The queue to ask.
    path : str or Path
        The file; it is made if it is not there.
    every_s : float
        Seconds between lines.

    Returns
    -------
    QueueLog
        Close it, or use it in a ``with`` block.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with log_jsonl(queue, Path(folder) / "queue.jsonl"):
    ...         batches = list(queue.batches(4))
    ...     lines = (Path(folder) / "queue.jsonl").read_text().splitlines()
    >>> json.loads(lines[-1])["total"]["patches"]
    8
    """
    file = Path(path)
    file.touch()  # what cannot be written is said now, not by a thread

    def write(stats: QueueStats) -> None:
        line = json.dumps({"time_s": time.time(), **stats.as_dict()})
        with file.open("a", encoding="utf-8") as lines:
            lines.write(line + "\n")

    return QueueLog(queue, write, every_s)


def log_tensorboard(queue: Queue, writer: ScalarWriter, *, every_s: float = 1.0) -> QueueLog:
    """Write what a queue measured as scalars, for TensorBoard and its likes.

    Parameters
    ----------
    queue : Queue
        The queue to ask.
    writer : ScalarWriter
        For example a `torch.utils.tensorboard.SummaryWriter`. Its steps are patches.
    every_s : float
        Seconds between values.

    Returns
    -------
    QueueLog
        Close it, or use it in a ``with`` block.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> class Printer:
    ...     def add_scalar(self, tag, scalar_value, global_step):
    ...         print(tag, global_step)
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> with log_tensorboard(queue, Printer(), every_s=60):
    ...     batches = list(queue.batches(8))
    queue/patches_per_s 8
    queue/waiting_share 8
    queue/fill_mean 8
    queue/busy 8
    queue/ready 8
    """

    def write(stats: QueueStats) -> None:
        step = stats.total.patches
        for name in _SCALARS:
            writer.add_scalar(f"queue/{name}", getattr(stats.total, name), step)
        writer.add_scalar("queue/ready", stats.ready, step)

    return QueueLog(queue, write, every_s)
