"""What the plan asks for, as jobs, in the order in which they are due."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator

import numpy as np

from voxloom.loading._plan import EpochPlan, renumber
from voxloom.loading._work import Job, Pairs


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
