"""The order of an epoch's patches. Pure arithmetic: no data, no clock, no processes.

A plan says, for every patch that an epoch puts out, which subject it is cut from and which of
that subject's patches it is. Everything else in `loading` obeys it, so workers, timing and
start methods cannot change what the trainer sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from voxloom._random import Stream, permutation

Integers = npt.NDArray[np.int64]
Schedule = Literal["spread", "fill"]

# Where in its share of the window a patch may fall: narrower than the whole share, so that two
# patches of one subject are never close. See docs/design/spread-schedule.md.
_JITTER: Final = 0.5
# How the window of the first epoch grows with each subject, so that loads come evenly while
# nothing is held yet: ln(1 + growth) / growth patches leave for each that is loaded.
_GROWTH: Final = 0.5
_FEWEST_OPEN, _MOST_OPEN = 4, 8


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What decides the order of an epoch, besides its number and the counts.

    Parameters
    ----------
    seed : int
        Seed of the run.
    max_length : int
        The most finished patches that may be held at any time.
    shuffle_subjects : bool
        Whether each epoch visits the subjects in an order of its own.
    shuffle_patches : bool
        Whether patches of different subjects are mixed.
    schedule : {'spread', 'fill'}
        How they are mixed.
    """

    seed: int
    max_length: int
    shuffle_subjects: bool = True
    shuffle_patches: bool = True
    schedule: Schedule = "spread"


@dataclass(frozen=True, slots=True, eq=False)
class EpochPlan:
    """The patches of one epoch in the order in which they leave.

    Attributes
    ----------
    subjects : (N,) int64
        Index of the subject that each patch is cut from.
    patches : (N,) int64
        Which of its subject's patches it is, from 0.
    residencies : (N,) int64
        Patches of one number are made together, from one decoded volume. Numbers rise in the
        order in which the first patch of each is due.
    """

    epoch: int
    subjects: Integers
    patches: Integers
    residencies: Integers

    def __len__(self) -> int:
        return len(self.subjects)

    def peak(self) -> int:
        """Return the most patches held at once when each residency is made as late as possible.

        Examples
        --------
        >>> plan = plan_epoch(np.array([3, 3]), 0, PlanOptions(0, 6, shuffle_patches=False))
        >>> plan.peak()
        3
        """
        return _peak(self.residencies)


def plan_epoch(counts: npt.ArrayLike, epoch: int, options: PlanOptions) -> EpochPlan:
    """Plan one epoch in which subject ``i`` gives ``counts[i]`` patches.

    Examples
    --------
    >>> plan = plan_epoch([2, 1, 3], epoch=0, options=PlanOptions(seed=0, max_length=4))
    >>> np.bincount(plan.subjects).tolist(), plan.peak() <= 4
    ([2, 1, 3], True)
    """
    numbers = np.asarray(counts, dtype=np.int64)
    visited = _visit(numbers, epoch, options)
    subjects = np.repeat(visited, numbers[visited])
    starts = np.cumsum(numbers[visited]) - numbers[visited]
    patches = np.arange(len(subjects)) - np.repeat(starts, numbers[visited])
    rank = np.repeat(np.arange(len(visited)), numbers[visited])
    if not options.shuffle_patches or not len(subjects):
        order, groups = _in_order(patches, rank, options)
    elif options.schedule == "fill":
        order, groups = _fill(subjects, patches, rank, epoch, options)
    else:
        order, groups = _spread(numbers[visited], patches, rank, epoch, options)
    return EpochPlan(epoch, subjects[order], patches[order], renumber(groups[order]))


def _visit(counts: Integers, epoch: int, options: PlanOptions) -> Integers:
    """Return the subjects that give patches, in the order of this epoch."""
    order = np.arange(len(counts))
    if options.shuffle_subjects:
        stream = Stream(options.seed, "order of subjects")
        order = permutation(stream.words(len(counts), epoch=epoch))
    return order[counts[order] > 0]


def _in_order(patches: Integers, rank: Integers, options: PlanOptions) -> tuple[Integers, Integers]:
    """Subject after subject; one with more patches than may be held is made in portions."""
    portion = patches // options.max_length
    return np.arange(len(patches)), rank * (int(portion.max()) + 1) + portion


def _fill(
    subjects: Integers, patches: Integers, rank: Integers, epoch: int, options: PlanOptions
) -> tuple[Integers, Integers]:
    """Fill to `max_length`, shuffle, drain, refill (Gibson et al. 2018, NiftyNet)."""
    block = np.arange(len(subjects)) // options.max_length
    words = Stream(options.seed, "order of patches").words(len(subjects), epoch=epoch)
    order = np.lexsort((words, block))
    return order, block * (int(rank[-1]) + 1) + rank


def _spread(
    counts: Integers, patches: Integers, rank: Integers, epoch: int, options: PlanOptions
) -> tuple[Integers, Integers]:
    """Spread each subject's patches over a window of subjects, the widest that fits.

    A subject whose patches begin at offset r emits its j-th at time ``r + (j + u) * window``.
    """
    starts = (np.cumsum(counts) - counts)[rank].astype(np.float64)
    words = Stream(options.seed, "order of patches").words(len(patches), epoch=epoch)
    drawn = (words >> np.uint64(11)).astype(np.float64) / 2.0**53
    steps = patches + (1 - _JITTER) / 2 + _JITTER * drawn
    widest = _opening(len(counts)) if epoch == 0 else np.full(len(counts), np.inf)

    def order_of(window: float) -> Integers:
        widths = np.minimum(window, widest)[rank]
        return np.argsort(starts + steps * widths, kind="stable")

    window = 2.0 * options.max_length / float(counts.mean())
    window = min(window, 4.0 * len(counts))
    while window > 1:
        order = order_of(window)
        if _peak(rank[order]) <= options.max_length:
            return order, rank
        window *= 0.97 if window > 2 else 0.9
    return _in_order(patches, rank, options)


def _opening(num_subjects: int) -> npt.NDArray[np.float64]:
    """Return the widest window of each subject of the first epoch, before anything is held."""
    first = min(max(_FEWEST_OPEN, num_subjects / 50), _MOST_OPEN)
    return first + _GROWTH * np.arange(num_subjects, dtype=np.float64)


def _first_places(groups: Integers) -> Integers:
    """Return where each group 0, 1, ... first appears."""
    first = np.empty(int(groups.max()) + 1, dtype=np.int64)
    first[groups[::-1]] = np.arange(len(groups))[::-1]  # of several writes the last one stays
    return first


def _peak(groups: Integers) -> int:
    """Return the most patches held when a group is made whole right before its first leaves."""
    if not len(groups):
        return 0
    made = np.zeros(len(groups), dtype=np.int64)
    made[_first_places(groups)] = np.bincount(groups)
    return int((np.cumsum(made) - np.arange(len(groups))).max())


def renumber(groups: Integers) -> Integers:
    """Give each group a number that rises with the place of its first member."""
    if not len(groups):
        return groups
    compact = np.unique(groups, return_inverse=True)[1].reshape(-1)
    place = np.empty(int(compact.max()) + 1, dtype=np.int64)
    place[np.argsort(_first_places(compact))] = np.arange(len(place))
    return place[compact]
