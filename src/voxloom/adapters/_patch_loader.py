"""A loader over a queue that frameworks can measure, stop and resume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    import torch

    from voxloom.loading import Queue


@final
class PatchLoader:
    """The batches of a queue, one epoch a pass, with a state that frameworks save.

    Lightning saves and loads the state of such a loader by itself; Accelerate does after
    ``accelerator.register_for_checkpointing(loader)``, and leaves it as it is in ``prepare``.
    Its ``skip_first_batches`` is not for queues: their state says where to go on.

    The queue knows which rank this is. A plain ``DataLoader(queue)`` on several ranks needs
    ``Trainer(use_distributed_sampler=False)`` in Lightning, which else deals the patches of
    each rank out once more; in Accelerate it must not go through ``prepare``. This loader is
    left alone by both.

    Parameters
    ----------
    queue : Queue
        Where the patches come from.
    batch_size : int
        Patches in a batch, on each rank.
    device : torch.device, optional
        Where batches go. Lightning moves them itself; with Accelerate give
        ``accelerator.device``.
    drop_last : bool
        Whether a last batch with fewer patches is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 16, 16, 16), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(8))
    >>> loader = PatchLoader(queue, batch_size=3)
    >>> len(loader), [len(batch["location"]) for batch in loader]
    (3, [3, 3, 2])
    """

    def __init__(
        self,
        queue: Queue,
        batch_size: int,
        device: torch.device | str | None = None,
        drop_last: bool = False,
    ) -> None:
        if isinstance(batch_size, bool) or not hasattr(batch_size, "__index__") or batch_size < 1:
            raise ValueError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
        self.queue = queue
        self.batch_size = int(batch_size)
        self.device = device
        self.drop_last = drop_last

    @property
    def sampler(self) -> PatchLoader:
        """The loader itself: frameworks call ``loader.sampler.set_epoch(epoch)``."""
        return self

    @property
    def batch_sampler(self) -> None:
        """Nothing: the queue decides what is in a batch."""
        return

    def set_epoch(self, epoch: int) -> None:
        """Let the next pass be of this epoch, from its start unless a state was loaded within it.

        Raises
        ------
        StateError
            A ValueError, if the epoch is negative.
        """
        if self.queue.next_epoch != epoch:
            self.queue.go_to_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where the queue is: see `Queue.state_dict`."""
        return self.queue.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state: the next pass yields what remained of its epoch."""
        self.queue.load_state_dict(state)

    def __len__(self) -> int:
        whole, rest = divmod(len(self.queue), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self.queue.batches(self.batch_size, device=self.device, drop_last=self.drop_last)

    def __repr__(self) -> str:
        return f"PatchLoader({self.queue!r}, batch_size={self.batch_size})"
