"""The queue: patches of many subjects, mixed, in an order that can be repeated and resumed."""

from __future__ import annotations

import functools
import logging
import time
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, Literal, Self, final

import torch

from voxloom._errors import QueueError
from voxloom._random import Stream
from voxloom.loading._arguments import check_arguments, draw_seed, whole
from voxloom.loading._balance import balance_labels
from voxloom.loading._batch import as_subject_patch
from voxloom.loading._choice import asked_for, choose_by_work
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._epochs import choose_visits, count_patches, peek_subjects
from voxloom.loading._execution import ExecutorName, make_executor
from voxloom.loading._failures import describe, queue_closed
from voxloom.loading._faults import FaultOptions
from voxloom.loading._lease import MakeBatches, choose_way
from voxloom.loading._memory import QueueMemory, estimate, pretty
from voxloom.loading._messages import Executor
from voxloom.loading._meter import Meter
from voxloom.loading._observed import ObservedQueue
from voxloom.loading._outer_workers import check_no_outer_worker
from voxloom.loading._patch_transform import PatchTransform, check_patch_transform
from voxloom.loading._plan import EpochPlan, PlanOptions, Schedule
from voxloom.loading._processes import StartMethod
from voxloom.loading._replacement import OnError
from voxloom.loading._revisits import revisits_for
from voxloom.loading._run_plan import RankOptions, RunPlan
from voxloom.loading._running import Patch
from voxloom.loading._schedule import choose_schedule
from voxloom.loading._seeding import call_seeded
from voxloom.loading._slots import SlotMemory
from voxloom.loading._state import read_replaced
from voxloom.loading._work import WorkSpec, count_cacheable
from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import Subject, as_subject, teach_default_collate

_logger = logging.getLogger("voxloom")


@final
class Queue(ObservedQueue):
    """Patches of many subjects, mixed and ready before the trainer asks.

    Subjects are loaded, transformed and cut by workers; their patches wait in the queue and
    leave in an order that the seed alone decides: the same for any number of workers, and
    resumable after any patch. One pass over the queue is one epoch.

    Parameters
    ----------
    subjects_dataset : SubjectsDataset
        Or any map-style data set that gives subjects.
    max_length : int
        The most finished patches that are ever held.
    samples_per_volume : int
        Patches of each subject in an epoch, where the subject has no ``num_samples``.
    sampler : PatchSampler or GridSampler
        Where to cut. A grid gives all its places of each subject.
    num_workers : int
        Processes that load, transform, sample and crop. With 0, the trainer's own does.
    shuffle_subjects, shuffle_patches : bool
        Whether each epoch visits the subjects in an order of its own, and mixes their patches.
    start_background : bool
        Whether workers begin now or at the first patch that is asked for.
    verbose : bool or 'live'
        Whether to log to the ``voxloom`` logger what the queue does. ``'live'`` also opens a
        page that shows it, as `monitor` does, and prints its address to standard error.
    seed : int, optional
        Seed of the run. By default drawn once from torch's generator.
    schedule : {'shuffle', 'spread', 'fill'}, optional
        How patches are mixed: all of an epoch together, spread over a moving window of subjects,
        or filled, shuffled and drained as NiftyNet and TorchIO do. By default they are shuffled
        where each can be read by itself, from a prepared store, from files that are read by
        region or from memory, and no transform needs a volume; else they are spread.
    start_method : {'spawn', 'forkserver'}
        How worker processes are started.
    subject_sampler : torch Sampler, optional
        Which subjects an epoch visits, read once an epoch; with ``shuffle_subjects=False``. Its
        ``generator``, if it was given one, goes on where it was when a state is loaded; a random
        one of torch that was given none draws by `seed`. One of your own that draws from a global
        generator gives other subjects in epochs that were not read yet.
    subject_weights : sequence of float, optional
        How likely each subject is: an epoch visits as many as there are, drawn with these
        weights; with ``shuffle_subjects=False``.
    rank, world : int, optional
        Which rank this is, of how many. By default what `torch.distributed` says, else the
        environment that torchrun sets.
    lanes : int, optional
        Into how many lanes an epoch is cut, a multiple of `world`: a run can go on with any
        number of ranks that divides it, and sees the same batches. By default `world`.
    patch_transform : callable, optional
        Changes each patch in the worker: gets what ``sampler(subject)`` gives and returns a
        subject. Where it has a parameter ``rng``, it gets a generator of its own for each
        patch; else the global generators are seeded for each.
    executor : {'processes', 'threads', 'inline'}, optional
        Who works. By default processes, or threads of this process where a look at the work
        says so; ``stats()`` says which and why. With threads, transforms take their generator
        as the argument ``rng``.
    on_error : {'raise', 'retry', 'replace'}
        What follows when a patch cannot be made: an error; an error once `retries` more runs
        have failed too; or, after these, the patches of another subject, which the plan alone
        decides. The epoch's count stays exact, a warning is logged for each subject, and
        ``state_dict()["replaced"]`` lists them.
    retries : int
        How often work that failed is done again, elsewhere if possible.
    max_replaced : int, optional
        The most subjects that may be replaced in a run. By default one in a hundred, at least
        one.
    timeout : float
        How long, in seconds, workers may report nothing while the trainer waits, before those
        at work count as hung.
    memory_cache : int, optional
        The most bytes of decoded volumes that stay in memory between epochs, for all workers:
        subjects that fit are decoded once. By default 512 MiB, less where there is little left,
        nothing where less than a twentieth of the subjects would fit; 0 for none. Volumes that are
        read by region, or by a function of yours, are not kept.

    Raises
    ------
    ValueError, TypeError
        If an argument cannot be used.
    QueueMemoryError
        A MemoryError, if the queue does not fit in the memory that is left.

    Examples
    --------
    >>> import numpy as np
    >>> from torch.utils.data import DataLoader
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 16, 16, 16), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(8))
    >>> len(queue)
    8
    >>> [tuple(batch["t1"]["data"].shape) for batch in DataLoader(queue, batch_size=4)]
    [(4, 1, 8, 8, 8), (4, 1, 8, 8, 8)]
    """

    def __init__(
        self,
        subjects_dataset: Any,
        max_length: int,
        samples_per_volume: int,
        sampler: PatchSampler | GridSampler,
        num_workers: int = 0,
        shuffle_subjects: bool = True,
        shuffle_patches: bool = True,
        start_background: bool = True,
        verbose: bool | Literal["live"] = False,
        *,
        seed: int | None = None,
        schedule: Schedule | None = None,
        start_method: StartMethod = "spawn",
        subject_sampler: Any = None,
        subject_weights: Sequence[float] | None = None,
        rank: int | None = None,
        world: int | None = None,
        lanes: int | None = None,
        patch_transform: PatchTransform | None = None,
        executor: ExecutorName | None = None,
        on_error: OnError = "raise",
        retries: int = 1,
        max_replaced: int | None = None,
        timeout: float = 300.0,
        memory_cache: int | None = None,
    ) -> None:
        check_arguments(subjects_dataset, sampler, start_method)
        self.subjects_dataset = subjects_dataset
        self.max_length = whole("max_length", max_length, least=1)
        self.samples_per_volume = whole("samples_per_volume", samples_per_volume, least=1)
        self.num_workers = whole("num_workers", num_workers, least=0)
        self.verbose = verbose
        self._start_method: StartMethod = start_method
        self._executor = asked_for(executor, self.num_workers)
        self._patch_transform = check_patch_transform(patch_transform)
        if memory_cache is not None:
            memory_cache = whole("memory_cache", memory_cache, least=0)
        self._cache_limit = memory_cache
        self._subjects = peek_subjects(subjects_dataset)
        counts = count_patches(self._subjects, self.samples_per_volume, sampler)
        self._faults = FaultOptions.of(
            on_error, retries, max_replaced, timeout, num_subjects=len(counts)
        )
        keeps_order = not shuffle_patches or not (shuffle_subjects or subject_weights is not None)
        options = PlanOptions(
            seed=draw_seed() if seed is None else whole("seed", seed),
            max_length=self.max_length,
            shuffle_subjects=bool(shuffle_subjects),
            shuffle_patches=bool(shuffle_patches),
            schedule=choose_schedule(
                schedule, subjects_dataset, self._subjects, sampler, keeps_order=keeps_order
            ),
        )
        self.sampler, shares = balance_labels(sampler, subjects_dataset, counts)
        visits = choose_visits(subject_sampler, subject_weights, shares, options, len(counts))
        ranks = RankOptions(rank, world, lanes)
        self._run = RunPlan(
            self._subjects, counts, options, visits, ranks, sampler, seed_is_given=seed is not None
        )
        self._epoch = self._delivered = 0
        self._is_open = self._is_closed = False
        self._asked: set[int] = set()
        self._meter = Meter()
        self._is_fresh, self._has_looked = True, False
        self._passes = 0
        self._ahead: Generator[Any] | None = None
        self._dispatcher: Dispatcher | None = None
        self._live = None
        teach_default_collate()
        memory = self.memory()
        memory.check()
        self._cache_bytes = memory.cached
        self._show_live(verbose)
        if start_background and self.num_workers:
            self._start()

    @property
    def seed(self) -> int:
        """The seed of the run, given or drawn."""
        return self._run.options.seed

    @property
    def num_subjects(self) -> int:
        """Number of subjects that an epoch visits."""
        return self._run.num_subjects

    @property
    def num_patches(self) -> int:
        """Patches that are finished and not yet handed out, or being made."""
        return 0 if self._dispatcher is None else self._dispatcher.held

    @property
    def iterations_per_epoch(self) -> int:
        """Patches in an epoch: the same as ``len(queue)``."""
        return len(self)

    def __len__(self) -> int:
        if not self._is_open:
            self._notice_ranks()
        return self._run.epochs.length(self._epoch)

    def __getitem__(self, index: int) -> Subject:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Subject]:
        """Return the next patches of the pass, as many as there are indices.

        This is what a DataLoader calls. Which indices it asks for does not matter: the plan
        decides the order. An index that was asked for before begins a new pass.
        """
        check_no_outer_worker()
        if not self._asked or not self._asked.isdisjoint(indices):
            self._check_loader_begins()
            self._begin_pass()
        elif not self._is_open:  # a resumed epoch is over before the loader knows
            self._asked.clear()
            raise StopIteration
        self._asked.update(indices)
        with closing(self._hand_out(self._left(len(indices)))) as patches:
            return [as_subject_patch(patch) for patch in patches]

    def __iter__(self) -> Iterator[Subject]:
        number = self._begin_pass()
        while self._is_going_on(number):
            with closing(self._hand_out(1)) as patches:
                [subject] = [as_subject_patch(patch) for patch in patches]
            yield subject

    def batches(
        self,
        batch_size: int,
        device: torch.device | str | None = None,
        drop_last: bool = False,
        zero_copy: bool = False,
    ) -> Iterator[Any]:
        """Yield the batches of one epoch: the fast way.

        Parameters
        ----------
        batch_size : int
            Patches in a batch; the last may have fewer.
        device : torch.device, optional
            Where tensors go. For a GPU they are made in page-locked memory, and turned on it.
        drop_last : bool
            Whether a last batch with fewer patches is left out.
        zero_copy : bool
            Whether voxels stay in the queue's slots: each batch is a `LeasedBatch`, valid until
            the next is asked for. Needs worker processes on Linux, else they are copied still.

        Yields
        ------
        dict
            What ``DataLoader(queue, batch_size)`` gives, with voxels copied once; or, with
            `zero_copy`, a mapping of the same items.
        """
        whole("batch_size", batch_size, least=1)
        target = None if device is None else torch.device(device)
        return self._batches(batch_size, drop_last, choose_way(self.num_workers, target, zero_copy))

    def _batches(self, batch_size: int, drop_last: bool, make: MakeBatches) -> Iterator[Any]:
        number = self._begin_pass()
        dispatcher, epoch, length = self._start(), self._epoch, len(self)
        starts = range(self._delivered, length, batch_size)
        ranges = [range(start, min(start + batch_size, length)) for start in starts]
        if drop_last and ranges and len(ranges[-1]) < batch_size:
            ranges.pop()
        with closing(make(dispatcher, epoch, ranges)) as batches:
            self._ahead = batches
            for places in ranges:
                self._is_going_on(number)
                start = time.perf_counter()
                batch = next(batches)
                self._note_wait(start)
                self._deliver(len(places))
                yield batch
        if self._is_going_on(number):  # what was left out of the last batch
            self._end_pass()

    def memory(self, subject: Subject | None = None) -> QueueMemory:
        """Return what the queue takes, before it starts; headers are read, no voxels.

        All subjects count as if they were like `subject`, by default the first one.
        """
        if subject is None:
            subject = next((one for one in self._subjects if one is not None), None)
        if subject is None:
            subject = self._load_first()
        return estimate(
            subject,
            self.sampler.patch_size,
            self._num_slots(),
            self.num_workers,
            subjects=count_cacheable(self.subjects_dataset),
            cache=self._cache_limit,
        )

    def get_max_memory(self, subject: Subject | None = None) -> int:
        """Return the bytes that finished patches take at most, as `memory` estimates them."""
        return self.memory(subject).patches

    def get_max_memory_pretty(self, subject: Subject | None = None) -> str:
        """Return the memory that finished patches take at most, for people."""
        return pretty(self.get_max_memory(subject))

    def plan(self, epoch: int) -> EpochPlan:
        """Return the plan of an epoch: which patches leave, in which order."""
        return self._run.epochs.plan(epoch)

    @property
    def next_epoch(self) -> int:
        """Which epoch the next pass is of: that after this, where a pass was left in its middle."""
        return self._epoch + bool(self._is_open and self._delivered)

    def state_dict(self) -> dict[str, Any]:
        """Return where the queue is: JSON, a few hundred bytes.

        It counts the patches that were handed out. The state at the end of an epoch is that at
        the start of the next.
        """
        state = self._run.state(self._epoch, self._delivered)
        state["replaced"] = self._faults.replacements.state((self._epoch, self._delivered))
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next pass yields what remained of its epoch.

        A queue that was given no seed takes that of the state.

        Raises
        ------
        StateError
            A ValueError, if the state is of a queue with other subjects, seed or plan.
        """
        self._notice_ranks()  # Lightning loads before anything is asked of the queue
        replaced = read_replaced(state, len(self._subjects))
        if self._run.asks_sampler:  # what workers have made is of the subjects that it gave here
            self._forget_workers()
        seed = self.seed
        self._epoch, self._delivered = self._run.restore(state)
        if self.seed != seed:  # what workers have made ahead is of another run
            self._forget_workers()
        self._leave_pass()
        self._faults.replacements.restore(replaced)
        if self._dispatcher is not None:
            self._dispatcher.seek(self._epoch, self._delivered)

    def go_to_epoch(self, epoch: int) -> None:
        """Let the next pass be of this epoch, from its start.

        Raises
        ------
        StateError
            A ValueError, if the epoch is negative.
        """
        self._notice_ranks()  # before: a state of fewer is none of theirs
        self.load_state_dict({**self.state_dict(), "epoch": epoch, "delivered": 0})

    def close(self) -> None:
        """End the workers and give the memory back. A closed queue cannot be used again."""
        self._is_closed = True
        try:
            self._stop()
        finally:
            if self._live is not None:
                self._live.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_dispatcher"] = state["_ahead"] = state["_live"] = None
        state["_meter"], state["_is_closed"] = Meter(), False
        return state

    def __repr__(self) -> str:
        return (
            f"Queue({self.num_subjects} subjects, {len(self)} patches an epoch, "
            f"max_length={self.max_length}, sampler={self.sampler!r}, "
            f"num_workers={self.num_workers}, seed={self.seed}, "
            f"epoch={self._epoch}, delivered={self._delivered})"
        )

    def _load_first(self) -> Subject:
        """Return the first item of a data set that does not show its subjects unloaded."""
        stream = Stream(self.seed, "transform", 0)
        first = call_seeded(self.subjects_dataset.__getitem__, 0, stream, patch=0, epoch=0)
        return as_subject(first, "item 0 of the data set")

    def _num_slots(self) -> int:
        length = len(self)  # reads a subject_sampler: what is wrong with it is said at once
        if not self._run.epochs.are_equally_long:  # a later epoch may need more than this one
            return self.max_length
        return min(self.max_length, 2 * length)

    def _start(self) -> Dispatcher:
        if self._is_closed:
            raise queue_closed()
        if self._dispatcher is None:
            self._run.agree()
            self._choose_executor()
            self._dispatcher = self._make_dispatcher()
            self._dispatcher.seek(self._epoch, self._delivered)
            self._log("started: %r", self)
        return self._dispatcher

    def _make_dispatcher(self) -> Dispatcher:
        with ExitStack() as undo:  # nothing is left where workers cannot start, or Ctrl-C comes
            memory = SlotMemory(self._num_slots(), shared=self._executor.executor == "processes")
            undo.callback(memory.close)
            executor = self._make_executor(memory)
            undo.callback(executor.close)
            dispatcher = Dispatcher(
                self._run.epochs.plan,
                executor,
                memory,
                is_background=self.num_workers > 0,
                describe=functools.partial(describe, self._subjects),
                faults=self._faults.with_substitutes(
                    self.seed,
                    self._run.epochs.subjects,
                    self._run.epochs.counts if isinstance(self.sampler, GridSampler) else None,
                ),
                meter=self._meter,
                alone=self._run.options.takes_single_patches,
            )
            undo.callback(dispatcher.close)
            weakref.finalize(self, dispatcher.close)
            undo.pop_all()
        return dispatcher

    def _choose_executor(self) -> None:
        if not self._executor.reason:
            subject = int(self._run.epochs.subjects(self._epoch)[0])
            self._executor = choose_by_work(self._work(), self._subjects[subject], subject)

    def _make_executor(self, memory: SlotMemory) -> Executor:
        name, work = self._executor.executor, self._work()
        return make_executor(
            name, work, memory, self.num_workers, self._start_method, self._cache_bytes
        )

    def _work(self) -> WorkSpec:
        revisits = revisits_for(self.subjects_dataset, self._run.epochs, self._run.visits)
        return WorkSpec(
            self.subjects_dataset, self.sampler, self.seed, self._patch_transform, revisits,
            int(self._run.epochs.counts.max()),
        )  # fmt: skip

    def _notice_ranks(self) -> None:
        """Follow ranks that came to be after the queue was made, or its workers began."""
        if self._run.has_other_ranks():
            self._forget_workers()

    def _begin_pass(self) -> int:
        check_no_outer_worker()
        epoch = self.next_epoch
        self._leave_pass()
        if self._run.agree():  # ranks came to be after the queue was made, or its workers began
            self._forget_workers()
        if epoch != self._epoch:
            self._epoch, self._delivered = epoch, 0
        self._is_open = self._is_fresh = True
        self._start().seek(self._epoch, self._delivered)
        self._run.begin(self._epoch)
        self._log("epoch %d begins at patch %d", self._epoch, self._delivered)
        return self._passes

    def _check_loader_begins(self) -> None:
        """Raise where a loader asks again in the middle of a pass, and it cannot be told why."""
        is_in_turn = self._asked == set(range(len(self._asked)))
        if self._is_open and not is_in_turn:
            raise QueueError(
                "it cannot be told where the next epoch begins: a DataLoader with shuffle=True or "
                "a sampler of its own was left before its end, as with drop_last=True, or its "
                "sampler does not give each index once, as a subset, draws with replacement, a "
                "DistributedSampler and Accelerate's prepare on several ranks do not; "
                "use shuffle=False and no sampler: the queue shuffles by itself, and deals out to "
                "the ranks; with Accelerate use a PatchLoader"
            )

    def _stop(self) -> None:
        try:
            self._leave_pass()
        finally:
            if self._dispatcher is not None:
                self._dispatcher.close()

    def _forget_workers(self) -> None:
        """End them: the next to be asked for begin anew."""
        self._stop()
        self._dispatcher = None

    def _leave_pass(self) -> None:
        if self._ahead is not None:
            with suppress(ValueError):  # it is at work, in another thread or below a signal
                self._ahead.close()
        self._ahead = None
        self._faults.replacements.forget_from((self._epoch, self._delivered))
        self._passes += 1
        self._is_open = False
        self._asked.clear()

    def _is_going_on(self, number: int) -> bool:
        """Tell whether patches of a pass are left; raise if another was begun since."""
        if self._is_closed:
            raise queue_closed()
        if number != self._passes:
            raise QueueError(
                "this loop over the queue was left for another, or for load_state_dict(), and "
                "cannot go on; a queue is read by one loop at a time"
            )
        return self._is_open

    def _left(self, wanted: int) -> int:
        """Return how many of the patches that are wanted are left in the epoch."""
        return min(wanted, len(self) - self._delivered)

    def _hand_out(self, count: int) -> Generator[Patch]:
        """Yield the next patches of the epoch; each is valid until the next is asked for.

        A slot is free again as soon as its patch was copied: a batch may be larger than
        `max_length`. The patches count as delivered once all of them are. Close it when
        something goes wrong, or a traceback keeps the last slot.
        """
        dispatcher = self._start()
        for place in range(self._delivered, self._delivered + count):
            start = time.perf_counter()
            patch = dispatcher.take(self._epoch, place)
            self._note_wait(start)
            try:
                yield patch
            finally:
                dispatcher.release([patch])
        self._deliver(count)

    def _deliver(self, count: int) -> None:
        self._note_batch(count)
        self._delivered += count
        if self._delivered == len(self):
            self._end_pass()

    def _end_pass(self) -> None:
        self._epoch, self._delivered, self._is_open = self._epoch + 1, 0, False

    def _log(self, message: str, *values: object) -> None:
        if self.verbose:
            _logger.info(message, *values)
