"""One trial of a queue: how fast patches come with these workers."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import Any

from voxloom.loading import Queue
from voxloom.loading._execution import ExecutorName

Trainer = Callable[[dict[str, Any]], object]


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
        The queue's own sentence.
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


def run_trial(
    make_queue: Callable[[Setting], Queue],
    setting: Setting,
    *,
    batch_size: int,
    seconds: float,
    trainer: Trainer,
) -> Trial:
    """Return how fast patches came, epoch after epoch, until the time was up.

    The time counts from the first batch; at least one more batch is measured.
    """
    start = time.perf_counter()
    with make_queue(setting) as queue:
        batches = _without_end(queue, batch_size)
        trainer(next(batches))
        begin = time.perf_counter()
        patches = count = 0
        waited = 0.0
        while not count or time.perf_counter() - begin < seconds:
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            trainer(batch)
            count += 1
            patches += len(batch["index_ini"])
        spent = time.perf_counter() - begin
        advice = queue.advice()
        batches.close()
    share = waited / spent
    return Trial(setting, begin - start, patches / spent, share, count, advice)


def trainer_ceiling(
    queue: Queue, *, batch_size: int, seconds: float, trainer: Trainer
) -> tuple[float, float]:
    """Return patches a second of a trainer that never waits, and how long one step takes."""
    patches = steps = 0
    begin = 0.0
    for step, batch in enumerate(queue.replay(2, batch_size=batch_size, steps=1_000_000)):
        if step == 1:  # the first step may compile, or warm up
            begin = time.perf_counter()
        trainer(batch)
        if step >= 1:
            patches += len(batch["index_ini"])
            steps += 1
            if time.perf_counter() - begin >= seconds:
                break
    spent = time.perf_counter() - begin
    return patches / spent, spent / max(steps, 1)


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
