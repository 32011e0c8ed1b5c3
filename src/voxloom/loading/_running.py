"""Jobs while they are in work, and the patches that come of them."""

from __future__ import annotations

import functools
import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from voxloom.geometry import Index3, Shape3
from voxloom.io import Array
from voxloom.loading._messages import Finished
from voxloom.loading._plan import EpochPlan, renumber
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
    def is_busy(self) -> bool:
        """Whether its worker has something to do for it, and does not wait for slots."""
        return self.outline is None or bool(self.waiting)

    @property
    def last(self) -> tuple[int, int]:
        """Epoch and place of its last patch."""
        return self.job.epoch, self.job.places[-1][0]

    def left(self) -> tuple[tuple[int, int], ...]:
        """Return the places and numbers that are not finished."""
        return tuple(
            pair
            for index, pair in enumerate(self.job.places)
            if index >= self.granted or pair[0] in self.waiting
        )


@dataclass(frozen=True, slots=True, eq=False)
class Patch:
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


def jobs_from(
    plan: Callable[[int], EpochPlan],
    epoch: int,
    place: int,
    numbers: Iterator[int],
    is_at_hand: Callable[[int], bool],
) -> Iterator[Job]:
    """Yield the jobs of all epochs from a place on, soonest due first.

    A subject that is at hand when its turn comes gives a job for each patch.
    """
    while True:
        for subject, pairs in _split(_residencies(plan(epoch), place), is_at_hand):
            yield Job(next(numbers), subject, epoch, pairs)
        epoch, place = epoch + 1, 0


def _residencies(plan: EpochPlan, start: int) -> Iterator[tuple[int, Pairs]]:
    """Yield the subject of each residency and what is left of it from a place on."""
    left = renumber(plan.residencies[start:])
    order = np.argsort(left, kind="stable")
    places, patches = order + start, plan.patches[order + start]
    edges = np.flatnonzero(np.diff(left[order], prepend=-1)).tolist()
    for ini, fin in itertools.pairwise([*edges, len(places)]):
        pairs = zip(places[ini:fin].tolist(), patches[ini:fin].tolist(), strict=True)
        yield int(plan.subjects[places[ini]]), tuple(pairs)


def _split(
    residencies: Iterator[tuple[int, Pairs]], is_at_hand: Callable[[int], bool]
) -> Iterator[tuple[int, Pairs]]:
    """Yield residencies, soonest due first; those of subjects at hand patch by patch."""
    single: list[tuple[int, int, int]] = []  # a heap: place, patch, subject

    def soonest() -> tuple[int, Pairs]:
        place, patch, subject = heapq.heappop(single)
        return subject, ((place, patch),)

    for subject, pairs in residencies:
        while single and single[0] < pairs[0]:
            yield soonest()
        if len(pairs) > 1 and is_at_hand(subject):
            for place, patch in pairs:
                heapq.heappush(single, (place, patch, subject))
        else:
            yield subject, pairs
    while single:
        yield soonest()
