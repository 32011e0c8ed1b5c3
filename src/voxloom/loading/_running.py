"""Jobs while they are in work, and the patches that come of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from voxloom.geometry import Index3, Shape3
from voxloom.io import Array
from voxloom.loading._messages import Finished
from voxloom.loading._replacement import Link
from voxloom.loading._slots import Layout
from voxloom.loading._window import Bytes
from voxloom.loading._work import Job, Pairs
from voxloom.subjects import Subject

Grant = tuple[int, int, int]
"""A place of the plan, the number of its patch, and the slot that it goes into."""


@dataclass(slots=True, eq=False)
class Running:
    """A job that a worker has: how much of it has a slot, how much is finished.

    Attributes
    ----------
    asked : Job
        What the plan wants: the same, unless another subject stands in.
    granted : int
        How many of its places, the first ones, were given slots.
    waiting : dict
        The grants whose patches are not finished, by place.
    failures, deaths : int
        How often this subject failed, and how many workers it ended.
    links : tuple of Link
        Which subjects failed before this one was tried.
    unwanted : bool
        Whether nobody waits for its patches any more.
    """

    job: Job
    worker: int
    asked: Job
    granted: int = 0
    waiting: dict[int, Grant] = field(default_factory=dict)
    failures: int = 0
    deaths: int = 0
    links: tuple[Link, ...] = ()
    unwanted: bool = False
    outline: Subject | None = None
    layout: Layout | None = None

    @property
    def is_granted(self) -> bool:
        """Whether all places have slots."""
        return self.granted == len(self.job.places)

    @property
    def num_lacking(self) -> int:
        """How many of its places have no slots yet."""
        return len(self.job.places) - self.granted

    def num_lacking_before(self, end: int) -> int:
        """Return how many places before that one have no slots yet."""
        return sum(place < end for place, _ in self.job.places[self.granted :])

    @property
    def is_busy(self) -> bool:
        """Whether its worker has something to do for it, and does not wait for slots."""
        return self.outline is None or bool(self.waiting)

    @property
    def last(self) -> tuple[int, int]:
        """Epoch and place of its last patch."""
        return self.job.epoch, self.job.places[-1][0]

    def left(self) -> Pairs:
        """Return the places and numbers that are not finished."""
        return tuple(
            pair
            for index, pair in enumerate(self.job.places)
            if index >= self.granted or pair[0] in self.waiting
        )


class Patch(NamedTuple):
    """A finished patch that is due. Its voxels are valid until it is released.

    `index_ini` counts voxels of the volume, in a padded grid those of the padded volume. Its
    affines are those of `outline` moved to voxel `origin`: the first voxel of the patch, or zero
    where a patch transform has moved them. `size` is the size of what was cut. `links` say whose
    place its subject takes, if that is not the one of the plan. `read` gives the memory that it
    lies in.
    """

    subject: int
    epoch: int
    place: int
    number: int
    slot: int
    index_ini: Index3
    outline: Subject
    layout: Layout
    read: Callable[[], Bytes]
    size: Shape3
    origin: Index3
    links: tuple[Link, ...] = ()

    @property
    def voxels(self) -> dict[str, Array]:
        """The arrays ``(C, w, h, d)`` by name, over the memory that the patch lies in."""
        return self.layout.views(self.read())


def finished_patch(running: Running, done: Finished, slot: int, read: Callable[[], Bytes]) -> Patch:
    """Return what a worker reports as finished; `read` gives the memory that it wrote into."""
    assert running.outline is not None
    assert running.layout is not None
    outline, layout, origin = running.outline, running.layout, done.index_ini
    width, height, depth = layout.fields[0].shape[1:]
    size = width, height, depth
    if done.orders:
        layout = layout.in_orders(done.orders)
    if done.changed is not None:
        outline, layout = done.changed.unpack(), done.changed.layout
        size, origin = done.changed.size, (0, 0, 0)
    if done.voxels is not None:
        read = functools.partial(_bytes_of, done.voxels)
    i, j, k = (ini + border for ini, border in zip(done.index_ini, done.border, strict=True))
    return Patch(
        running.job.subject, running.job.epoch, done.place, done.patch, slot,
        (i, j, k), outline, layout, read, size, origin, running.links,
    )  # fmt: skip


def _bytes_of(sent: bytes) -> Bytes:
    return np.frombuffer(sent, dtype=np.uint8)
