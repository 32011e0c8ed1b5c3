"""Loading whole subjects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils.data import DataLoader

from voxloom.loading._outer_workers import check_loader_arguments
from voxloom.loading._queue import Queue
from voxloom.subjects import collate


class SubjectsLoader(DataLoader[Any]):
    """A DataLoader over subjects, whose batches `voxloom.subjects.collate` makes.

    Parameters
    ----------
    dataset : SubjectsDataset, Queue or GridSampler
        What gives the subjects or patches.
    collate_fn : callable, optional
        Makes a batch of a list of subjects, in place of `voxloom.subjects.collate`.
    **kwargs
        Passed to `torch.utils.data.DataLoader`.

    Raises
    ------
    QueueError
        A RuntimeError, if a loader over a queue is asked for workers, or for what they need.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import ScalarImage, Subject, SubjectsDataset
    >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
    >>> loader = SubjectsLoader(SubjectsDataset([Subject(t1=image)] * 4), batch_size=2)
    >>> [tuple(batch["t1"]["data"].shape) for batch in loader]
    [(2, 1, 2, 2, 2), (2, 1, 2, 2, 2)]
    """

    def __init__(
        self, dataset: Any, collate_fn: Callable[[list[Any]], Any] | None = None, **kwargs: Any
    ) -> None:
        if isinstance(dataset, Queue):
            check_loader_arguments(kwargs)
        super().__init__(dataset, collate_fn=collate_fn or collate, **kwargs)
