"""How full the queue was, and how long the trainer waited, over time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, final

import numpy as np

from voxloom._errors import QueueError
from voxloom.view._figure import ACCENT, ALARM, INK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.loading import Queue

Batch = TypeVar("Batch")


@final
@dataclass(frozen=True, slots=True)
class Moment:
    """What was seen of a queue when a batch arrived.

    Parameters
    ----------
    asked_s, came_s : float
        When the trainer asked for the batch and when it came, in seconds since the timeline began.
    ready_before, ready_after : int
        Finished patches in the queue at these times.
    """

    asked_s: float
    came_s: float
    ready_before: int
    ready_after: int


@final
class QueueTimeline:
    """Notes how a queue fares, batch by batch, for `plot_timeline`.

    Parameters
    ----------
    queue : Queue
        The queue that is trained from. It is only asked, never changed.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> timeline = QueueTimeline(queue)
    >>> for batch in timeline.watch(queue.batches(4)):
    ...     pass
    >>> len(timeline.moments)
    2
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._start = time.perf_counter()
        self.moments: list[Moment] = []

    @property
    def max_length(self) -> int:
        """The most patches that the queue may hold."""
        return self._queue.max_length

    @property
    def elapsed_s(self) -> float:
        """Seconds from the start to the last batch."""
        return self.moments[-1].came_s if self.moments else 0.0

    @property
    def waited_s(self) -> float:
        """Seconds that the trainer waited, for all batches together."""
        return sum(moment.came_s - moment.asked_s for moment in self.moments)

    def watch(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Yield the batches, and note how the queue was when each was asked for and came."""
        batches = iter(batches)
        while True:
            ready, asked_s = self._ready(), self._now()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.moments.append(Moment(asked_s, self._now(), ready, self._ready()))
            yield batch

    def _now(self) -> float:
        return time.perf_counter() - self._start

    def _ready(self) -> int:
        return int(self._queue.stats()["ready"])


def plot_timeline(timeline: QueueTimeline) -> Figure:
    """Return how full the queue was and how long the trainer waited for each batch, over time.

    Raises
    ------
    QueueError
        A RuntimeError, if no batch was watched.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> timeline = QueueTimeline(queue)
    >>> _ = list(timeline.watch(queue.batches(4)))
    >>> len(plot_timeline(timeline).axes)
    2
    """
    if not timeline.moments:
        raise QueueError("no batch was seen; loop over timeline.watch(loader) before plotting")
    moments = timeline.moments
    figure = new_figure(7.5, 4.4)
    fill, waits = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    _draw_fill(fill, moments, timeline.max_length)
    came = np.array([moment.came_s for moment in moments])
    waited = came - np.array([moment.asked_s for moment in moments])
    waits.vlines(came, 0, 1000 * waited, color=ALARM, linewidth=2)
    waits.set_ylabel("wait for a\nbatch (ms)")
    waits.set_xlabel("seconds")
    waits.set_ylim(bottom=0)
    waits.set_xlim(left=0)
    share = timeline.waited_s / timeline.elapsed_s
    waits.set_title(f"the trainer waited {share:.1%} of the time", fontsize=10, loc="left")
    for axes in (fill, waits):
        tidy(axes)
    return figure


def _draw_fill(axes: Any, moments: Sequence[Moment], max_length: int) -> None:
    when = [time_s for moment in moments for time_s in (moment.asked_s, moment.came_s)]
    ready = [count for one in moments for count in (one.ready_before, one.ready_after)]
    axes.fill_between(when, ready, color=ACCENT, alpha=0.25, linewidth=0)
    axes.plot(when, ready, color=ACCENT)
    axes.axhline(max_length, color=INK, linestyle="--", linewidth=1)
    axes.set_ylim(0, max_length * 1.15)
    axes.set_ylabel("finished patches\nin the queue")
    axes.set_title(f"never more than max_length = {max_length} (dashed)", fontsize=10, loc="left")
