"""A data module of Lightning over a queue. Comes with ``pip install 'voxloom[lightning]'``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

from voxloom._errors import QueueError
from voxloom._extras import import_extra
from voxloom.adapters._patch_loader import PatchLoader
from voxloom.loading import Queue

if TYPE_CHECKING:
    from lightning.pytorch import LightningDataModule
else:
    LightningDataModule = import_extra("lightning.pytorch", "lightning").LightningDataModule


@final
class PatchDataModule(LightningDataModule):
    """Training patches from a queue, that Lightning checkpoints and resumes mid-epoch.

    Parameters
    ----------
    make_queue : callable
        Returns the queue of training patches. It is called once on each rank, when the ranks
        are known, so that every rank gets patches of its own.
    batch_size : int
        Patches in a batch, on each rank.
    make_val_loader : callable, optional
        Returns what validation goes over: a queue, or any loader that Lightning takes.
    drop_last : bool
        Whether a last training batch with fewer patches is left out.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 16, 16, 16), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> module = PatchDataModule(lambda: Queue(dataset, 8, 2, UniformSampler(8)), batch_size=4)
    >>> module.setup("fit")
    >>> len(module.train_dataloader())
    2
    >>> module.teardown("fit")
    """

    def __init__(
        self,
        make_queue: Callable[[], Queue],
        batch_size: int,
        make_val_loader: Callable[[], Any] | None = None,
        drop_last: bool = False,
    ) -> None:
        super().__init__()
        self._make_queue = make_queue
        self._make_val_loader = make_val_loader
        self._batch_size, self._drop_last = batch_size, drop_last
        self._loader: PatchLoader | None = None
        self._val_loader: Any = None

    @property
    def queue(self) -> Queue:
        """The queue of training patches.

        Raises
        ------
        QueueError
            A RuntimeError, before `setup` and after `teardown`.
        """
        return self.train_dataloader().queue

    def setup(self, stage: str) -> None:
        """Make the loaders that a stage needs."""
        if stage == "fit" and self._loader is None:
            self._loader = PatchLoader(
                self._make_queue(), self._batch_size, drop_last=self._drop_last
            )
        if self._make_val_loader is not None and self._val_loader is None:
            made = self._make_val_loader()
            is_queue = isinstance(made, Queue)
            self._val_loader = PatchLoader(made, self._batch_size) if is_queue else made

    def train_dataloader(self) -> PatchLoader:
        """Return the loader of training patches."""
        if self._loader is None:
            raise QueueError(
                "the data module has no queue yet; call setup('fit') first, as trainer.fit does"
            )
        return self._loader

    def val_dataloader(self) -> Any:
        """Return the loader for validation, an empty list if there is none."""
        return [] if self._val_loader is None else self._val_loader

    def teardown(self, stage: str) -> None:
        """End the workers of the queues."""
        for loader in (self._loader, self._val_loader):
            if isinstance(loader, PatchLoader):
                loader.queue.close()
        self._loader = self._val_loader = None
