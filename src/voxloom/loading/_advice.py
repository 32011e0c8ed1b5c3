"""One sentence that names what holds a queue up, and what to change."""

from __future__ import annotations

from typing import Final

from voxloom._cores import count_cores
from voxloom.loading._stats import WORKER_STAGES, EpochStats, QueueStats

_FEWEST_BATCHES: Final = 8
_FEWEST_LOADS: Final = 3
_LITTLE_WAITING: Final = 0.02
_MOST_OF_THE_TIME: Final = 0.6
_MUCH_OVERHEAD: Final = 0.25

_CURES: Final = {
    "read": "put the files on a faster or local disk",
    "decode": "let more volumes stay decoded with a larger memory_cache, or prepare the data once "
    "in a format that is read by region",
    "transform": "move what can be done to a patch into patch_transform, or do what does not "
    "change once, ahead of training",
    "locate": "sample from a smaller or simpler map",
    "crop": "use a smaller patch_size, or store images in fewer bits",
    "patch transform": "make the patch transform cheaper, or do part of it on the GPU",
}


def advise(stats: QueueStats, *, wants_workers: bool = True) -> str:
    """Return one sentence: what the bottleneck is and what to change.

    Parameters
    ----------
    stats : QueueStats
        What was measured; a few batches and subjects at least.
    wants_workers : bool
        Whether more workers may be advised: not where they were tried.

    Examples
    --------
    >>> from voxloom.loading._meter import Meter
    >>> nothing = Meter().total(workers=2, max_length=8)
    >>> advise(QueueStats("processes (spawn)", 2, 8, 0, 0, (), nothing))
    'Too little was measured yet (batches: 0, opened subjects: 0): measure for longer.'
    """
    total = stats.total
    has_all_opened = total.loads >= _FEWEST_LOADS or len(stats.epochs) > 1
    if total.batches < _FEWEST_BATCHES or not has_all_opened:
        return (
            f"Too little was measured yet (batches: {total.batches}, opened subjects: "
            f"{total.loads}): measure for longer."
        )
    if total.elapsed_s <= total.first_wait_s:
        return (
            "How long the trainer waits cannot be told, as each epoch is one batch: use smaller "
            "batches, or a larger samples_per_volume."
        )
    waiting = total.waiting_share
    if waiting < _LITTLE_WAITING:
        return (
            f"The trainer is the bottleneck: it waited {waiting:.1%} of the time, and no change "
            f"to the queue makes training faster."
        )
    if stats.executor == "inline":
        return _advise_inline(total, waiting, wants_workers)
    return _advise_workers(stats, waiting, wants_workers)


def _advise_inline(total: EpochStats, waiting: float, wants_workers: bool) -> str:
    stage = _slowest(total)
    cure = f"use num_workers={max(count_cores() - 1, 1)}" if wants_workers else _CURES[stage]
    return (
        f"The trainer waited {waiting:.0%} of the time because it makes its patches itself, "
        f"most of all in stage {stage!r}: {cure}."
    )


def _advise_workers(stats: QueueStats, waiting: float, wants_workers: bool) -> str:
    total = stats.total
    if total.busy >= _MOST_OF_THE_TIME:
        stage = _slowest(total)
        more = ""
        if wants_workers and stats.workers < count_cores():
            more = f", or use more workers: {stats.workers} run on {count_cores()} cores"
        return (
            f"The workers are the bottleneck: the trainer waited {waiting:.0%} of the time and "
            f"{stage!r} takes {_share(total, stage):.0%} of their work; {_CURES[stage]}{more}."
        )
    overhead = _overhead(stats)
    if overhead >= _MUCH_OVERHEAD:
        is_collated_here = "collate" in total.seconds
        other = "" if is_collated_here else ", or queue.batches(...) in place of a DataLoader"
        return (
            f"Transport is the bottleneck: the trainer waited {waiting:.0%} of the time while "
            f"shipping and collating took {overhead:.0%} of it; use smaller patches or "
            f"dtypes{other}."
        )
    return (
        f"The queue is too short: the trainer waited {waiting:.0%} of the time although the "
        f"workers were busy only {total.busy:.0%} of it; use a larger max_length than "
        f"{stats.max_length}."
    )


def _overhead(stats: QueueStats) -> float:
    """Return the share of the time that shipping and collating took, which overlap."""
    total, seconds = stats.total, stats.total.seconds
    since = total.elapsed_s - total.first_wait_s  # what is shipped while workers start is little
    took = seconds.get("ship", 0.0) / stats.workers + seconds.get("collate", 0.0)
    return min(took / since, 1.0)


def _slowest(epoch: EpochStats) -> str:
    return max(WORKER_STAGES, key=lambda stage: epoch.seconds.get(stage, 0.0))


def _share(epoch: EpochStats, stage: str) -> float:
    return next(entry.share for entry in epoch.stages if entry.stage == stage)
