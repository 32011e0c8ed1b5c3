"""Who works where nobody said: what the work is decides. See docs/design/executor.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxloom.loading._execution import ExecutorName, choose_executor
from voxloom.loading._lock_probe import lock_is_global, lock_share
from voxloom.loading._work import Workshop, WorkSpec
from voxloom.subjects import Subject, SubjectsDataset

# From this share on, one thread that works keeps the trainer waiting too often.
_MOST_LOCKED: Final = 0.25
# Less than this is sent to each process without a thought.
_LEAST_SENT_BYTES: Final = 2**26


@dataclass(frozen=True, slots=True)
class Choice:
    """Who works, and why; no reason is given while it is left to us.

    Examples
    --------
    >>> Choice("processes", "it decodes whole volumes").executor
    'processes'
    """

    executor: ExecutorName
    reason: str


def asked_for(wanted: str | None, num_workers: int) -> Choice:
    """Return who works, if that was said.

    Raises
    ------
    ValueError
        If there is no such executor, or it does not go with the number of workers.

    Examples
    --------
    >>> asked_for(None, 0).reason, asked_for("threads", 2).reason, asked_for(None, 2).reason
    ('num_workers=0', 'asked for', '')
    """
    name = choose_executor(wanted, num_workers)
    if not num_workers:
        return Choice(name, "num_workers=0")
    return Choice(name, "" if wanted is None else "asked for")


def choose_by_work(spec: WorkSpec, first: Subject | None, subject: int) -> Choice:
    """Return who should work, when it is left to us.

    Threads, where nothing but our own code runs on so many voxels in memory that sending them
    to each process would cost, and a patch made here and now shows that it lets the
    interpreter's lock go; else processes, which can be ended when they hang and may die
    without the trainer.

    Parameters
    ----------
    spec : WorkSpec
        What workers do.
    first : Subject or None
        A subject of the data set, not loaded, if it shows them.
    subject : int
        Its index.
    """
    if first is None or type(spec.dataset).__getitem__ is not SubjectsDataset.__getitem__:
        return Choice("processes", "the data set is not ours")
    if spec.dataset.transform is not None or spec.patch_transform is not None:
        return Choice("processes", "transforms are code of yours")
    if not _is_ours(spec.sampler):
        return Choice("processes", "the sampler is code of yours")
    images = first.get_images_dict(intensity_only=False).values()
    if not lock_is_global() and all(_is_ours(image.source) for image in images):
        return Choice("threads", "this Python has no global lock")
    if not all(image.is_loaded for image in images):
        return Choice("processes", "voxels are read from files")
    if sum(image.array.nbytes for image in images) * len(spec.dataset) < _LEAST_SENT_BYTES:
        return Choice("processes", "few voxels are in memory")
    return _choose_by_lock(spec, subject)


def _choose_by_lock(spec: WorkSpec, subject: int) -> Choice:
    workshop = Workshop(spec)

    def make_a_patch() -> None:
        opened = workshop.open(subject, 0)
        box = workshop.locate(opened, 0, 0)
        workshop.cut(opened, box, np.empty(opened.layout.nbytes, dtype=np.uint8))

    try:
        share = lock_share(make_a_patch)
    except Exception:  # it is named when its turn in the plan comes
        return Choice("processes", "the first patch could not be made")
    name: ExecutorName = "threads" if share <= _MOST_LOCKED else "processes"
    return Choice(name, f"a patch holds the interpreter's lock for {share:.0%} of its time")


def _is_ours(thing: Any) -> bool:
    return type(thing).__module__.partition(".")[0] == "voxloom"
