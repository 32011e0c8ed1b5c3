"""What the plan asks for, as jobs, in the order in which they are due."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from typing import final

import numpy as np

from voxloom.loading._plan import EpochPlan, renumber
from voxloom.loading._work import Job, Pairs


@final
class Jobs:
    """The jobs of all epochs from a place on, soonest due first.

    A subject that is at hand when its turn comes gives a job for each patch.

    Parameters
    ----------
    plan : callable
        ``plan(epoch)`` returns the plan of an epoch.
    epoch, place : int
        Where they begin.
    numbers : iterator of int
        Gives each job its number.
    is_at_hand : callable
        Tells whether a patch of a subject can be cut without decoding a volume.
    """

    def __init__(
        self,
        plan: Callable[[int], EpochPlan],
        epoch: int,
        place: int,
        numbers: Iterator[int],
        is_at_hand: Callable[[int], bool],
    ) -> None:
        self._plan, self._numbers, self._is_at_hand = plan, numbers, is_at_hand
        self._starts = {epoch: 0}
        self._jobs = self._generate(epoch, place)
        self._ahead: deque[Job] = deque()

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        return self._ahead.popleft() if self._ahead else next(self._jobs)

    def look_ahead(self) -> Job | None:
        """Return the next job; None where its epoch has no plan.

        Whoever looks ahead does not say that: in the middle of another epoch it would be too early.
        """
        try:
            return next(self)
        except Exception:
            return None

    def join(self, first: Job, end: int, most: int) -> Job:
        """Join a single patch with the next ones of its subject, and those between in the same way.

        Patches of one subject that are made one after the other find what they share in the cache
        of the processor, and are one job for whoever keeps the books.

        Parameters
        ----------
        first : Job
            The last that was given.
        end : int
            Patches from this place of its epoch on are left as they are.
        most : int
            So many are joined at most: other workers want some too.

        Returns
        -------
        Job
            What comes in its place; the others come next, soonest due first.
        """
        if self._ahead:  # these were joined before
            return first
        groups: list[list[Job]] = []
        last: dict[int, list[Job]] = {}
        job: Job | None = first
        while job is not None and job.epoch == first.epoch and self._is_single(job, end):
            if len(last.get(job.subject, ())) % most == 0:
                last[job.subject] = []
                groups.append(last[job.subject])
            last[job.subject].append(job)
            job = self.look_ahead()
        self._ahead.extend(map(_joined, groups))
        if job is not None:
            self._ahead.append(job)
        return self._ahead.popleft()

    def _is_single(self, job: Job, end: int) -> bool:
        is_one = len(job.places) == 1 and job.places[0][0] < end
        return is_one and self._is_at_hand(job.subject)

    def place_after(self, key: tuple[int, int], count: int, epoch: int) -> int:
        """Return which place of an epoch is due `count` patches after an epoch and place.

        It may lie before or after that epoch. No epoch may be later than that of the last job.
        """
        return self._starts[key[0]] + key[1] + count - self._starts[epoch]

    def _generate(self, epoch: int, place: int) -> Iterator[Job]:
        while True:
            plan = self._plan(epoch)
            self._starts[epoch + 1] = self._starts[epoch] + len(plan)
            for subject, pairs in _split(_residencies(plan, place), self._is_at_hand):
                yield Job(next(self._numbers), subject, epoch, pairs)
            epoch, place = epoch + 1, 0


def _joined(jobs: list[Job]) -> Job:
    if len(jobs) == 1:
        return jobs[0]
    places = itertools.chain.from_iterable(job.places for job in jobs)
    return jobs[0]._replace(places=tuple(places), is_joined=True)


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
