"""The page on a queue that runs: what is loaded, how full it is, what waits, what has left."""

from __future__ import annotations

import time
import weakref
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from voxloom._errors import QueueError
from voxloom.view._onlooker import BatchOnlooker
from voxloom.view._page import render_page
from voxloom.view._server import PageServer

if TYPE_CHECKING:
    from voxloom.loading import Queue
    from voxloom.loading._sight import Sight

_BATCHES_SHOWN: Final = 7
_SUBJECTS_SHOWN: Final = 64
_IDLE: Final = frozenset({"wait", "start"})


class Monitor:
    """A page that shows what a queue does, until it is closed or the process ends.

    It looks at the queue when the page asks, twice a second while somebody can see the page, and
    changes neither its order nor its patches. It does not keep the queue alive.

    Parameters
    ----------
    queue : Queue
        The queue to show.
    port : int
        Where to listen on 127.0.0.1; 0 takes any that is free.
    """

    def __init__(self, queue: Queue, port: int = 0) -> None:
        from voxloom.loading._sight import set_onlooker

        self._queue = weakref.ref(queue)
        self._onlooker = BatchOnlooker()
        self._begin_s = time.perf_counter()
        self._server = PageServer(render_page("live"), {"live": self._answer}, port)
        set_onlooker(queue, self._onlooker)

    @property
    def address(self) -> str:
        """Where the page is, token included: whoever has it can look at the queue."""
        return self._server.address

    def close(self) -> None:
        """Stop looking and listening. It may be called again."""
        from voxloom.loading._sight import set_onlooker

        self._server.close()
        queue = self._queue()
        if queue is not None:
            set_onlooker(queue, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Monitor({self.address})"

    def _answer(self, question: Mapping[str, str]) -> dict[str, Any]:
        from voxloom.loading._sight import see

        queue = self._queue()
        if queue is None:
            raise QueueError("the queue is gone")
        batches = list(self._onlooker.batches)
        size = len(batches[-1][2]) if batches else 1
        pictures = {"pictures": self._onlooker.pictures()} if question.get("pictures") else {}
        return {
            **_describe(see(queue), size),
            **_measure(queue),
            "elapsed_s": time.perf_counter() - self._begin_s,
            "batchSize": max((len(subjects) for _, _, subjects in batches), default=1),
            "batches": [
                {"number": self._onlooker.seen - n, "subjects": subjects}
                for n, (_, _, subjects) in enumerate(batches[: -_BATCHES_SHOWN - 1 : -1])
            ],
            **pictures,
        }


def monitor(queue: Queue, port: int = 0, *, open_browser: bool = False) -> Monitor:
    """Show a queue while it runs, on a page for this machine.

    The page shows what each worker does, the fill, the waits, where time goes, the last
    batch's patches as pictures, errors and replaced subjects. It is served on 127.0.0.1, at an
    address with a random token.

    Parameters
    ----------
    queue : Queue
        The queue to show; it may be running already.
    port : int
        Where to listen; 0 takes any port that is free.
    open_browser : bool
        Whether to open the page in a browser on this machine.

    Returns
    -------
    Monitor
        Print its `address`; `close` it, or let it end with the process.

    Raises
    ------
    OSError
        If the port is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> with monitor(queue) as page:
    ...     batches = list(queue.batches(4))
    >>> len(batches)
    2
    """
    page = Monitor(queue, port)
    if open_browser:
        webbrowser.open(page.address)
    return page


def _describe(sight: Sight, batch_size: int) -> dict[str, Any]:
    """Return what the page draws of a queue, ready for JSON; `batch_size` says what is next."""
    due = sight.epoch, sight.delivered + batch_size
    ready = [slot for slot in sight.slots if slot.is_ready]
    return {
        "epoch": sight.epoch,
        "delivered": sight.delivered,
        "length": sight.length,
        "maxLength": sight.slot_count,
        "slotCount": sight.slot_count,
        "held": sight.held,
        "ready": len(ready),
        "slots": [
            {
                "slot": slot.slot,
                "subject": slot.subject,
                "isReady": slot.is_ready,
                "isNext": (slot.epoch, slot.place) < due,
            }
            for slot in sight.slots
        ],
        "leaving": list(sight.leaving),
        "subjects": _subjects(sight),
        "workers": [
            {"subject": worker.subject, "stage": f"{worker.stage} subject", "share": 1}
            for worker in sight.workers
        ],
        "trainer": f"reads epoch {sight.epoch}" if sight.is_open else "is between epochs",
        "errors": list(sight.troubles),
    }


def _subjects(sight: Sight) -> list[dict[str, Any]]:
    """Return the state of each subject; of many, only of those that something is done with."""
    queued = {slot.subject for slot in sight.slots if slot.is_ready}
    loading = {w.subject for w in sight.workers if w.stage not in _IDLE}
    busy = {subject for subject in queued | loading if subject is not None}
    shown = sorted(busy) if sight.subjects > _SUBJECTS_SHOWN else range(sight.subjects)
    return [
        {"subject": subject, "state": "loading", "share": 1}
        if subject in loading
        else {"subject": subject, "state": "queued" if subject in queued else "waiting"}
        for subject in shown
    ]


def _measure(queue: Queue) -> dict[str, Any]:
    total = queue.stats().total
    return {
        "patches_per_s": total.patches_per_s,
        "waiting_share": total.waiting_share,
        "waited_s": total.waited_s,
        "loads": total.loads,
        "distinct": total.mixing.distinct_mean,
        "stages": [
            {"stage": stage.stage, "seconds": stage.seconds, "share": stage.share}
            for stage in total.stages
            if stage.seconds
        ],
    }
