"""Loading whole subjects."""

from __future__ import annotations

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

    def __init__(self, dataset: Any, **kwargs: Any) -> None:
        if isinstance(dataset, Queue):
            check_loader_arguments(kwargs)
        kwargs.setdefault("collate_fn", collate)
        super().__init__(dataset, **kwargs)
