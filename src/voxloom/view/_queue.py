"""How a queue fared: fill, waits, the workers' stages and the mixing of batches, over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._errors import QueueError
from voxloom.view._figure import ACCENT, ALARM, COLOURS, INK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.loading import Queue
    from voxloom.loading._marks import Mark
    from voxloom.loading._sight import Course

_BINS: Final = 120
_HEIGHTS: Final = (3, 2, 3, 2.4)


def plot_queue(queue: Queue) -> Figure:
    """Return a picture of a queue over time, from the first patch that was asked for until now.

    From above: finished patches in the queue, under the bound `max_length`; how long the
    trainer waited for each batch; how many workers were at each stage; from how many subjects
    the patches of each batch came, beside what a global shuffle would give. Of a long run the
    last 5,000 reports of workers are shown.

    Parameters
    ----------
    queue : Queue
        It is only asked, never changed.

    Raises
    ------
    QueueError
        A RuntimeError, if no batch has left the queue.
    MissingExtraError
        An ImportError, if matplotlib is not installed.

    Examples
    --------
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> _ = list(queue.batches(4))
    >>> len(plot_queue(queue).axes)
    4
    """
    from voxloom.loading._sight import recall

    course = recall(queue)
    if not course.moments:
        raise QueueError("no batch has left the queue; loop over it before plotting")
    stats = queue.stats()
    figure = new_figure(8.5, 8.2)
    fill, waits, stages, mixing = figure.subplots(4, 1, sharex=True, height_ratios=_HEIGHTS)
    _draw_fill(fill, course, queue.max_length)
    _draw_waits(waits, course, stats.total.waiting_share)
    _draw_stages(stages, course, stats.workers, stats.total.busy)
    _draw_mixing(mixing, course, stats.total.mixing.shuffled_distinct)
    for axes in (fill, waits, stages, mixing):
        tidy(axes)
        for begin_s in _begins_of_epochs(course):
            axes.axvline(begin_s, color=INK, linewidth=0.8, linestyle=":")
    mixing.set_xlabel("seconds; dotted lines: an epoch begins")
    mixing.set_xlim(0, course.span_s)
    figure.align_ylabels()
    return figure


def spread_over_bins(
    marks: Sequence[Mark], stage: str, edges: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return how many workers were at a stage in each bin of time, on average.

    A report gives the seconds of each stage and when all of it was done; they are spread evenly.

    Examples
    --------
    >>> from voxloom.loading._marks import Mark
    >>> mark = Mark("open", 0, 0.0, 2.0, 0, 0, {"read": 1.0})
    >>> spread_over_bins([mark], "read", np.array([0.0, 1.0, 2.0, 3.0])).tolist()
    [0.5, 0.5, 0.0]
    """
    done = np.zeros(len(edges))
    for mark in marks:
        if seconds := mark.seconds.get(stage):
            took = max(mark.end_s - mark.begin_s, 1e-9)
            done += seconds * np.clip((edges - mark.begin_s) / took, 0, 1)
    worked: npt.NDArray[np.float64] = np.diff(done) / np.diff(edges)
    return worked


def _draw_fill(axes: Any, course: Course, max_length: int) -> None:
    when, ready = zip(*course.fills, strict=True)
    axes.fill_between(when, ready, step="post", color=ACCENT, alpha=0.25, linewidth=0)
    axes.step(when, ready, where="post", color=ACCENT, linewidth=1.2)
    axes.axhline(max_length, color=INK, linestyle="--", linewidth=1)
    axes.set_ylim(0, max_length * 1.15)
    axes.set_ylabel("finished patches\nin the queue")
    axes.set_title(f"never more than max_length = {max_length} (dashed)", fontsize=10, loc="left")


def _draw_waits(axes: Any, course: Course, share: float) -> None:
    came = [mark.end_s for mark in course.waits]
    waited = [1000 * (mark.end_s - mark.begin_s) for mark in course.waits]
    axes.vlines(came, 0, waited, color=ALARM, linewidth=1.5)
    axes.set_ylim(0, max(*waited, 1.0) * 1.1)
    axes.set_ylabel("wait for\npatches (ms)")
    axes.set_title(
        f"the trainer waited {share:.1%} of the time, the first wait of a pass apart",
        fontsize=10,
        loc="left",
    )


def _draw_stages(axes: Any, course: Course, workers: int, busy: float) -> None:
    from voxloom.loading._stats import WORKER_STAGES

    edges = np.linspace(0, course.span_s, _BINS + 1)
    shares = {stage: spread_over_bins(course.work, stage, edges) for stage in WORKER_STAGES}
    shown = {stage: share for stage, share in shares.items() if share.any()}
    middles = (edges[1:] + edges[:-1]) / 2
    axes.stackplot(middles, *shown.values(), labels=list(shown), colors=COLOURS, linewidth=0)
    axes.axhline(workers, color=INK, linestyle="--", linewidth=1)
    axes.set_ylim(0, workers * 1.15)
    axes.set_ylabel("workers\nat each stage")
    of = "worker" if workers == 1 else "workers"
    axes.set_title(f"{workers} {of} (dashed), busy {busy:.0%}", fontsize=10, loc="left")
    if shown:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)


def _draw_mixing(axes: Any, course: Course, shuffled: float) -> None:
    when = [moment.time_s for moment in course.moments]
    distinct = [moment.distinct for moment in course.moments]
    axes.plot(when, distinct, ".", color=ACCENT, markersize=5)
    axes.axhline(shuffled, color=INK, linestyle="--", linewidth=1)
    axes.set_ylim(0, max(*distinct, shuffled) * 1.2)
    axes.set_ylabel("subjects\nin a batch")
    axes.set_title(
        f"a global shuffle would give {shuffled:.2f} on average (dashed)", fontsize=10, loc="left"
    )


def _begins_of_epochs(course: Course) -> list[float]:
    """Return when each epoch but the first was begun by the trainer."""
    begins: dict[int, float] = {}
    for mark in course.waits:
        begins.setdefault(mark.epoch, mark.begin_s)
    return list(begins.values())[1:]
