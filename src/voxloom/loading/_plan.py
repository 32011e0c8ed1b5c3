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

from voxloom._random import Stream, Words, permutation

Integers = npt.NDArray[np.int64]
Schedule = Literal["spread", "fill", "shuffle"]

# Where in its share of the window a patch may fall: narrower than the whole share, so that two
# patches of one subject are never close. See docs/design/spread-schedule.md.
_JITTER: Final = 0.5
# How the window grows with each subject of a run, so that loads come evenly while little is
# held yet: ln(1 + growth) / growth patches leave for each that is loaded.
_GROWTH: Final = 0.3
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
    schedule : {'spread', 'fill', 'shuffle'}
        How they are mixed. A shuffle mixes all patches of the epoch, each made by itself.
    """

    seed: int
    max_length: int
    shuffle_subjects: bool = True
    shuffle_patches: bool = True
    schedule: Schedule = "spread"

    @property
    def takes_single_patches(self) -> bool:
        """Whether each patch is made by itself, and not with others of its subject."""
        return self.shuffle_patches and self.schedule == "shuffle"


@dataclass(frozen=True, slots=True)
class Share:
    """Which part of every epoch one rank puts out.

    The epoch is cut into lanes of equal length. The global stream takes one row from each lane
    in turn, and a rank takes the rows of the lanes that are its own modulo the number of ranks:
    any number of ranks that divides the lanes sees the same global stream.

    Parameters
    ----------
    rank, world : int
        Which rank, of how many.
    lanes : int
        Number of lanes, a multiple of `world`.
    """

    rank: int = 0
    world: int = 1
    lanes: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world or self.lanes < 1 or self.lanes % self.world:
            raise ValueError(
                f"0 <= rank < world and lanes a multiple of world are expected, got "
                f"rank={self.rank}, world={self.world}, lanes={self.lanes}"
            )


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


def plan_epoch(
    counts: npt.ArrayLike,
    epoch: int,
    options: PlanOptions,
    *,
    visits: npt.ArrayLike | None = None,
    share: Share = Share(),
) -> EpochPlan:
    """Plan one epoch in which subject ``i`` gives ``counts[i]`` patches.

    Parameters
    ----------
    counts : (S,) int
        Patches of each subject, each time it is visited.
    epoch : int
        Number of the epoch.
    options : PlanOptions
        What decides the order.
    visits : (V,) int, optional
        The subjects in the order in which this epoch visits them, where something else than
        the options decides that. A subject may be visited more than once, or not at all.
    share : Share
        Which part of the epoch this rank puts out.

    Examples
    --------
    >>> plan = plan_epoch([2, 1, 3], epoch=0, options=PlanOptions(seed=0, max_length=4))
    >>> np.bincount(plan.subjects).tolist(), plan.peak() <= 4
    ([2, 1, 3], True)
    """
    numbers = np.asarray(counts, dtype=np.int64)
    if visits is None:
        visits = _visit(len(numbers), epoch, options)
    sequence = _sequence(numbers, np.asarray(visits, dtype=np.int64))
    if options.takes_single_patches:
        sequence = _shuffle(sequence, epoch, options.seed)
    lanes = [
        _schedule(_lane(sequence, lane, share.lanes), lane, epoch, options, share.lanes)
        for lane in range(share.rank, share.lanes, share.world)
    ]
    # one row of each lane in turn: stacked and read column by column
    subjects, patches, groups = np.stack(lanes, axis=-1).reshape(3, -1)
    return EpochPlan(epoch, subjects, patches, renumber(groups * share.lanes + _lane_of(lanes)))


def _visit(num_subjects: int, epoch: int, options: PlanOptions) -> Integers:
    """Return the subjects in the order of this epoch."""
    if not options.shuffle_subjects:
        return np.arange(num_subjects)
    return permutation(Stream(options.seed, "order of subjects").words(num_subjects, epoch=epoch))


def _sequence(counts: Integers, visits: Integers) -> Integers:
    """Return subject, patch and visit of all patches of an epoch, one subject after another.

    The patches of a subject that is visited again go on counting.
    """
    given = counts[visits]
    visit = np.repeat(np.arange(len(visits)), given)
    starts = np.cumsum(given) - given
    patches = np.arange(len(visit)) - starts[visit]
    again = _occurrences(visits) * given
    return np.stack([visits[visit], patches + again[visit], visit])


def _shuffle(sequence: Integers, epoch: int, seed: int) -> Integers:
    """Mix all patches of an epoch, before it is cut into lanes; each is a group of its own."""
    words = Stream(seed, "shuffle of patches").words(sequence.shape[1], epoch=epoch)
    subjects, patches, _ = sequence[:, permutation(words)]
    return np.stack([subjects, patches, np.arange(len(words))])


def _occurrences(visits: Integers) -> Integers:
    """Return how often each visit's subject was visited before it."""
    order = np.argsort(visits, kind="stable")
    ranked = visits[order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    before = np.empty(len(visits), dtype=np.int64)
    before[order] = np.arange(len(visits)) - np.repeat(starts, np.diff(starts, append=len(visits)))
    return before


def _lane(sequence: Integers, lane: int, lanes: int) -> Integers:
    """Return a lane's part; the last lane goes on at the start, so that all are equally long."""
    total = sequence.shape[1]
    length = -(-total // lanes)
    places = np.arange(lane * length, (lane + 1) * length)
    part = sequence[:, places % max(total, 1)]
    part[2] += np.where(places >= total, part[2].max(initial=0) + 1, 0)
    return part


def _lane_of(lanes: list[Integers]) -> Integers:
    return np.tile(np.arange(len(lanes)), lanes[0].shape[1])


def _schedule(part: Integers, lane: int, epoch: int, options: PlanOptions, lanes: int) -> Integers:
    """Return a lane's patches in the order in which they leave, and in what groups."""
    subjects, patches, visit = part
    bound = options.max_length // lanes
    words = Stream(options.seed, "order of patches", lane).words(len(patches), epoch=epoch)
    rank = renumber(visit)
    if options.takes_single_patches:  # the epoch is mixed already
        order = groups = np.arange(len(patches))
    elif not options.shuffle_patches or not len(patches):
        order, groups = _in_order(rank, bound)
    elif options.schedule == "fill":
        order, groups = _fill(rank, words, bound)
    else:
        order, groups = _spread(rank, words, bound, epoch)
    return np.stack([subjects[order], patches[order], groups[order]])


def _in_order(rank: Integers, bound: int) -> tuple[Integers, Integers]:
    """Subject after subject; one with more patches than may be held is made in portions."""
    portion = _step(rank) // bound
    return np.arange(len(rank)), rank * (int(portion.max(initial=0)) + 1) + portion


def _fill(rank: Integers, words: Words, bound: int) -> tuple[Integers, Integers]:
    """Fill to the bound, shuffle, drain, refill (Gibson et al. 2018, NiftyNet)."""
    block = np.arange(len(rank)) // bound
    return np.lexsort((words, block)), block * (int(rank[-1]) + 1) + rank


def _spread(rank: Integers, words: Words, bound: int, epoch: int) -> tuple[Integers, Integers]:
    """Spread each subject's patches over a window of subjects, the widest that fits.

    A subject whose patches begin at offset r emits its j-th at time ``r + (j + u) * window``.
    """
    drawn = (words >> np.uint64(11)).astype(np.float64) / 2.0**53
    steps = _step(rank) + (1 - _JITTER) / 2 + _JITTER * drawn
    starts = np.arange(len(rank)) - _step(rank)
    num_subjects = int(rank[-1]) + 1
    widest = _opening(num_subjects, epoch)
    window = min(2.0 * bound * num_subjects / len(rank), 4.0 * num_subjects)
    while window > 1:
        order = np.argsort(starts + steps * np.minimum(window, widest)[rank], kind="stable")
        if _peak(rank[order]) <= bound:
            return order, rank
        window *= 0.97 if window > 2 else 0.9
    return _in_order(rank, bound)


def _step(rank: Integers) -> Integers:
    """Return which of its subject's patches in a lane each is, from 0."""
    return np.arange(len(rank)) - np.searchsorted(rank, rank)


def _opening(num_subjects: int, epoch: int) -> npt.NDArray[np.float64]:
    """Return the widest window of each subject: it grows on from one epoch to the next."""
    first = min(max(_FEWEST_OPEN, num_subjects / 40), _MOST_OPEN)
    before = epoch * num_subjects
    return first + _GROWTH * np.arange(before, before + num_subjects, dtype=np.float64)


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
