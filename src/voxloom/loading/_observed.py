"""What a queue says about itself: what it did, where time goes, what else it could do."""

from __future__ import annotations

import functools
import itertools
import os
import sys
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch.utils.data import Dataset

from voxloom._errors import QueueError
from voxloom._upstairs import show
from voxloom.loading._advice import advise
from voxloom.loading._arguments import whole
from voxloom.loading._choice import Choice
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._epochs import Epochs, SampledVisits, count_patches
from voxloom.loading._explain import Explanation, explain_patch
from voxloom.loading._failures import describe
from voxloom.loading._memory import QueueMemory
from voxloom.loading._meter import Meter
from voxloom.loading._mixing import warn_if_few_subjects
from voxloom.loading._plan import EpochPlan
from voxloom.loading._processes import StartMethod
from voxloom.loading._run_plan import RunPlan
from voxloom.loading._simulate import (
    Pace,
    Simulation,
    check_pace,
    scale_memory,
    simulate_epoch,
)
from voxloom.loading._stats import QueueStats
from voxloom.loading._trace import write_trace
from voxloom.loading._work import WorkSpec
from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import Subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class LivePage(Protocol):
    """A page that shows a queue while it runs: see `voxloom.view.Monitor`."""

    @property
    def address(self) -> str:
        """Where it is, token included."""

    def close(self) -> None:
        """Stop showing. It may be called again."""

    def __enter__(self) -> Self:
        """Return the page."""

    def __exit__(self, *error: object) -> None:
        """Close it."""


class ObservedQueue(Dataset[Subject], ABC):
    """The side of a queue that measures and explains. `Queue` is the other."""

    max_length: int
    samples_per_volume: int
    num_workers: int
    sampler: PatchSampler | GridSampler
    _batch_size: int = 1
    _delivered: int
    _dispatcher: Dispatcher | None
    _executor: Choice
    _epoch: int
    _has_looked: bool
    _is_fresh: bool
    _is_open: bool
    _live: LivePage | None
    _meter: Meter
    _run: RunPlan
    _start_method: StartMethod
    _subjects: Sequence[Subject | None]

    @abstractmethod
    def __len__(self) -> int:
        """Return the patches in an epoch."""

    @abstractmethod
    def plan(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch: which patches leave, in which order."""

    @abstractmethod
    def memory(self) -> QueueMemory:
        """Return what the queue takes, before it starts; headers are read, no voxels."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Return where the queue is."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""

    @abstractmethod
    def batches(
        self, batch_size: int, device: torch.device | str | None = None, drop_last: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Yield the batches of one epoch."""

    @abstractmethod
    def _work(self) -> WorkSpec:
        """Return what workers are told."""

    @property
    def shuffle_subjects(self) -> bool:
        """Whether each epoch visits the subjects in an order of its own."""
        return self._run.options.shuffle_subjects

    @property
    def subject_sampler(self) -> Any:
        """The torch Sampler that says which subjects an epoch visits, or None."""
        visits = self._run.visits
        return visits.sampler if isinstance(visits, SampledVisits) else None

    @property
    def shuffle_patches(self) -> bool:
        """Whether patches are mixed."""
        return self._run.options.shuffle_patches

    def stats(self) -> QueueStats:
        """Return what was measured so far; print it for a table. See `QueueStats`."""
        workers, dispatcher = max(self.num_workers, 1), self._dispatcher
        name = self._executor.executor
        return QueueStats(
            executor=f"{name} ({self._start_method})" if name == "processes" else name,
            reason=self._executor.reason,
            workers=workers,
            max_length=self.max_length,
            ready=0 if dispatcher is None else dispatcher.ready,
            held=0 if dispatcher is None else dispatcher.held,
            epochs=self._meter.epochs(workers, self.max_length),
            total=self._meter.total(workers, self.max_length),
        )

    def advice(self) -> str:
        """Return one sentence: what holds training up, by what was measured, and what to change."""
        return advise(self.stats())

    def plot(self) -> Figure:
        """Return a picture of fill, waits, stages and subjects a batch, over time.

        See `voxloom.view.plot_queue`.
        """
        figure: Figure = show("plot_queue", self)
        return figure

    def monitor(self, port: int = 0, *, open_browser: bool = False) -> LivePage:
        """Show on a page of this machine what the queue does, while it runs.

        Print the ``address`` of what it returns. See `voxloom.view.monitor`.
        """
        page: LivePage = show("monitor", self, port, open_browser=open_browser)
        return page

    def _repr_html_(self) -> str:
        return str(show("describe_queue", self))

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write what workers did and when the trainer waited, for https://ui.perfetto.dev.

        JSON in Chrome's trace event format; of a long run, the last 5,000 reports of workers and
        the last 5,000 waits.
        """
        write_trace(path, self._meter.marks, max(self.num_workers, 1))

    def explain(self, index: int, epoch: int | None = None) -> Explanation:
        """Make the patch at a plan index again, here and now, and say where it comes from.

        It is what the queue gives there, unless the queue has put another subject in its place.

        Parameters
        ----------
        index : int
            The plan index, as errors name it: how many patches of the epoch come before.
        epoch : int, optional
            By default the current one.

        Raises
        ------
        QueueError
            If the epoch has no such index.
        PatchError
            If the patch cannot be made: the error that the queue raises.
        """
        place = whole("index", index)
        plan = self.plan(self._epoch if epoch is None else whole("epoch", epoch, least=0))
        return explain_patch(plan, place, self._work(), functools.partial(describe, self._subjects))

    def replay(
        self,
        num_batches: int,
        *,
        batch_size: int | None = None,
        steps: int | None = None,
        device: torch.device | str | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the next few batches again and again, to learn how fast the trainer can be.

        The queue stays where it is: what it gives afterwards is not changed. A trainer that
        writes into a batch finds what it wrote.

        Parameters
        ----------
        num_batches : int
            How many batches are kept in memory.
        batch_size : int, optional
            Patches in a batch. By default as many as were last asked for, at first 1.
        steps : int, optional
            How many batches are yielded in all. By default as many as an epoch has.
        device : torch.device, optional
            Where the kept batches lie.

        Raises
        ------
        QueueError
            In the middle of an epoch that a loop has begun.
        """
        whole("num_batches", num_batches, least=1)
        size = self._size_of_batches(batch_size)
        count = -(-len(self) // size) if steps is None else whole("steps", steps, least=0)
        if self._is_open:
            raise QueueError(
                "replay before or after an epoch, not in the middle of one; or make another queue"
            )
        state, meter = self.state_dict(), self._meter
        self._measure_with(Meter())  # these batches are no training
        try:
            kept = list(itertools.islice(self.batches(size, device), num_batches))
        finally:
            self.load_state_dict(state)
            self._measure_with(meter)
        return itertools.islice(itertools.cycle(kept), count)

    def simulate(
        self,
        batch_size: int | None = None,
        *,
        max_length: int | None = None,
        samples_per_volume: int | None = None,
        num_workers: int | None = None,
        pace: Pace | None = None,
    ) -> Simulation:
        """Return what an epoch would be like with other settings, without touching data.

        The plan gives memory, loads and how mixed batches are. What was measured so far, or a
        `Pace`, gives an estimate of how long the trainer would wait. Batches are as large as those
        that were last asked for, unless `batch_size` says otherwise.

        Examples
        --------
        >>> import numpy as np
        >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
        >>> image = ScalarImage(tensor=np.zeros((1, 16, 16, 16), dtype=np.float32))
        >>> dataset = SubjectsDataset([Subject(t1=image)] * 40)
        >>> queue = Queue(dataset, 8, 8, UniformSampler(8), schedule="spread")
        >>> few = queue.simulate(batch_size=8).mixing.distinct_mean
        >>> few < queue.simulate(batch_size=8, max_length=128).mixing.distinct_mean
        True
        """
        size = self._size_of_batches(batch_size)
        length = self.max_length if max_length is None else max_length
        whole("max_length", length, least=self._run.epochs.share.lanes)
        samples = self.samples_per_volume if samples_per_volume is None else samples_per_volume
        whole("samples_per_volume", samples, least=1)
        workers = self.num_workers if num_workers is None else num_workers
        whole("num_workers", workers, least=0)
        epochs = Epochs(
            count_patches(self._subjects, samples, self.sampler),
            replace(self._run.options, max_length=length),
            self._run.epochs.share,
            self._run.visits,
        )
        slots = min(length, 2 * epochs.length(self._epoch))
        return simulate_epoch(
            epochs.plan(self._epoch),
            scale_memory(self.memory(), self._num_slots(), slots, self.num_workers, workers),
            batch_size=size,
            slots=slots,
            workers=workers,
            alone=self._run.options.takes_single_patches,
            pace=Pace.measured(self.stats().total, size) if pace is None else check_pace(pace),
        )

    def _size_of_batches(self, given: int | None) -> int:
        return self._batch_size if given is None else whole("batch_size", given, least=1)

    def _show_live(self, verbose: bool | str) -> None:
        """Open the live page where that is asked for, until the queue is closed or gone."""
        if isinstance(verbose, str) and verbose != "live":
            raise ValueError(f"verbose is True, False or 'live', got {verbose!r}")
        if verbose == "live":
            self._live = page = self.monitor()
            # What was asked for must be seen, whatever was set up for logging.
            print(f"voxloom: the queue, live: {page.address}", file=sys.stderr)
            weakref.finalize(self, page.close).atexit = False  # it ends with the process

    @abstractmethod
    def _num_slots(self) -> int:
        """Return how many finished patches there is room for."""

    def _measure_with(self, meter: Meter) -> None:
        self._meter = meter
        if self._dispatcher is not None:
            self._dispatcher.meter = meter

    def _note_wait(self, start: float) -> None:
        span = start, time.perf_counter()
        self._meter.note_wait(self._epoch, span, is_first=self._is_fresh)
        self._is_fresh = False

    def _note_batch(self, count: int) -> None:
        if self._delivered == 0 or count > self._batch_size:  # the last of an epoch may be small
            self._batch_size = count
        plan = self.plan(self._epoch)
        subjects = plan.subjects[self._delivered : self._delivered + count]
        self._meter.note_batch(plan, subjects)
        if (onlooker := self._meter.onlooker) is not None:
            onlooker.see_batch(self._epoch, self._delivered, subjects.tolist())
        if count > 1 and not self._has_looked:
            self._has_looked = True
            self._warn_if_few_subjects(plan, count)

    def _warn_if_few_subjects(self, plan: EpochPlan, batch_size: int) -> None:
        if not self._run.options.shuffle_patches or isinstance(self.sampler, GridSampler):
            return  # asked for in this order
        settings = {"max_length": self.max_length, "samples_per_volume": self.samples_per_volume}
        warn_if_few_subjects(plan, batch_size, settings)
