"""Trials of a queue: how fast patches come with these workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from voxloom.cli._sampling import describe_sampler
from voxloom.patches import PatchSampler
from voxloom.subjects import INDEX_INI, SubjectsDataset

if TYPE_CHECKING:
    from voxloom.loading import Queue
    from voxloom.loading._execution import ExecutorName

Trainer = Callable[[dict[str, Any]], object]

_MANY: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Setting:
    """Who works for a queue.

    Attributes
    ----------
    executor : {'inline', 'threads', 'processes'}
        In which way.
    workers : int
        How many.
    """

    executor: ExecutorName
    workers: int


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured with one setting.

    Attributes
    ----------
    setting : Setting
        Who worked.
    first_batch_s : float
        From the construction of the queue to the first batch.
    patches_per_s : float
        After the first batch.
    waiting_share : float
        Of the time after the first batch, what the trainer waited.
    batches : int
        How many were measured, after the first.
    advice : str
        What holds it up, in one sentence.
    """

    setting: Setting
    first_batch_s: float
    patches_per_s: float
    waiting_share: float
    batches: int
    advice: str

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        values = asdict(self)
        return {**values.pop("setting"), **values}


@dataclass(frozen=True, slots=True)
class Course:
    """What all trials have in common: the data, the sampler and the sizes.

    Attributes
    ----------
    dataset : SubjectsDataset
        Where patches come from.
    sampler : PatchSampler
        Where to cut.
    max_length, samples_per_volume, seed : int
        As `Queue` takes them.
    batch_size : int
        Patches in a batch.
    seconds : float
        How long a trial lasts, counted from the first batch.
    trainer : callable
        Takes a batch and does a training step.
    most_workers : int
        Of all trials: more are not advised to a trial with fewer, as they are tried.
    """

    dataset: SubjectsDataset
    sampler: PatchSampler
    max_length: int
    samples_per_volume: int
    batch_size: int
    seed: int
    seconds: float
    trainer: Trainer
    most_workers: int = 0

    def make_queue(self, setting: Setting) -> Queue:
        """Return a queue with these workers, which are at work."""
        from voxloom.loading import Queue  # which brings torch

        return Queue(
            self.dataset,
            self.max_length,
            self.samples_per_volume,
            self.sampler,
            num_workers=setting.workers,
            executor=setting.executor,
            seed=self.seed,
        )

    def warm_up(self) -> None:
        """Make one batch here, so that the first trial is not charged for imports."""
        with self.make_queue(Setting("inline", 0)) as queue:
            self.trainer(next(queue.batches(self.batch_size)))

    def code(self, setting: Setting) -> str:
        """Return what a user writes for such a queue."""
        sampler = f"voxloom.{describe_sampler(self.sampler)}"
        more = f", executor={setting.executor!r}" if setting.executor == "threads" else ""
        return (
            f"voxloom.Queue(dataset, {self.max_length}, {self.samples_per_volume}, {sampler}, "
            f"num_workers={setting.workers}{more})"
        )

    def run(self, setting: Setting) -> Trial:
        """Return how fast patches came, epoch after epoch, until the time was up.

        At least one batch after the first is measured.
        """
        from voxloom.loading._advice import advise

        start = time.perf_counter()
        with self.make_queue(setting) as queue:
            batches = _without_end(queue, self.batch_size)
            self.trainer(next(batches))
            begin = time.perf_counter()
            patches = count = 0
            waited = 0.0
            while not count or time.perf_counter() - begin < self.seconds:
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                self.trainer(batch)
                count += 1
                patches += len(batch[INDEX_INI])
            spent = time.perf_counter() - begin
            stats = queue.stats()
            batches.close()
        advice = advise(stats, wants_workers=setting.workers >= self.most_workers)
        return Trial(setting, begin - start, patches / spent, waited / spent, count, advice)

    def ceiling(self, queue: Queue) -> tuple[float, float]:
        """Return patches a second of a trainer that never waits, and how long a step takes."""
        kept = queue.replay(2, batch_size=self.batch_size, steps=_MANY)
        self.trainer(next(kept))  # the first step may compile, or warm up
        begin = time.perf_counter()
        patches = steps = 0
        while not steps or time.perf_counter() - begin < self.seconds:
            batch = next(kept)
            self.trainer(batch)
            patches += len(batch[INDEX_INI])
            steps += 1
        spent = time.perf_counter() - begin
        return patches / spent, spent / steps


def recommend(trials: list[Trial], *, trained: bool, tolerance: float = 0.1) -> Trial:
    """Return the trial to imitate: of those about as fast as the fastest, the fewest workers.

    Where nothing trained, workers are better than none even if they are no faster: what they
    do, the trainer has not to do.

    Examples
    --------
    >>> trials = [Trial(Setting("processes", n), 1.0, speed, 0.5, 9, "")
    ...           for n, speed in [(1, 10.0), (2, 19.5), (4, 20.0)]]
    >>> recommend(trials, trained=False).setting.workers
    2
    """
    helped = [trial for trial in trials if trained or trial.setting.workers] or trials
    fastest = max(trial.patches_per_s for trial in helped)
    enough = [trial for trial in helped if trial.patches_per_s >= (1 - tolerance) * fastest]
    return min(enough, key=lambda trial: (trial.setting.workers, -trial.patches_per_s))


def _without_end(queue: Queue, batch_size: int) -> Generator[dict[str, Any]]:
    while True:
        yield from queue.batches(batch_size)
