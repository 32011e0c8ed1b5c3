"""When a subject is wanted again: what a cache that is too small needs to know."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from voxloom.loading._epochs import Epochs, SampledVisits, Visits
from voxloom.loading._plan import EpochPlan, Integers


@final
class Revisits:
    """How many subjects are opened until one is opened again. Pure: the plan decides.

    Parameters
    ----------
    plan : callable
        ``plan(epoch)`` returns the plan of an epoch.
    world : int
        How many ranks open subjects side by side.

    Examples
    --------
    >>> from voxloom.loading._plan import PlanOptions, plan_epoch
    >>> options = PlanOptions(0, 8, shuffle_subjects=False, shuffle_patches=False)
    >>> revisits = Revisits(lambda epoch: plan_epoch([2, 2, 2], epoch, options), world=1)
    >>> revisits.after(0, 0), revisits.after(0, 4)
    (3, 3)
    """

    def __init__(self, plan: Callable[[int], EpochPlan], world: int) -> None:
        self._plan, self._world = plan, world
        self._visits = functools.lru_cache(maxsize=3)(self._read_plan)

    def __reduce__(self) -> tuple[Any, ...]:
        return Revisits, (self._plan, self._world)

    def after(self, epoch: int, place: int) -> int:
        """Return how many visits lie between that of the patch at `place` and the next.

        A subject that the next epoch lacks counts as wanted after all of it.
        """
        visits, places = self._visits(epoch)
        now = int(places[place])
        coming = np.concatenate([visits[now + 1 :], self._visits(epoch + 1)[0]])
        again = np.flatnonzero(coming == visits[now])
        return (int(again[0]) + 1 if len(again) else len(coming) + 1) * self._world

    def _read_plan(self, epoch: int) -> tuple[Integers, Integers]:
        """Return the subject of each visit, and the visit of each patch, in order."""
        plan = self._plan(epoch)
        first = np.unique(plan.residencies, return_index=True)[1]
        return plan.subjects[first], plan.residencies


@dataclass(frozen=True, slots=True)
class _PlanOf:
    """The plan of epochs, as something that can be sent to workers."""

    epochs: Epochs

    def __call__(self, epoch: int) -> EpochPlan:
        return self.epochs.plan(epoch)


def revisits_for(dataset: Any, epochs: Epochs, visits: Visits | None) -> Revisits | None:
    """Return what a data set's cache needs to know, or None if it has no limit.

    A sampler of torch, which decides what an epoch visits, is not asked early for the next one.
    """
    if getattr(dataset, "cache_limit", None) is None or isinstance(visits, SampledVisits):
        return None
    return Revisits(_PlanOf(epochs), epochs.share.world)
