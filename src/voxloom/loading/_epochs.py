"""What each epoch consists of: which subjects, how often, and how many patches of each."""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxloom._errors import QueueError
from voxloom._random import Stream
from voxloom.loading._generator_state import generator_of, read_generator, write_generator
from voxloom.loading._plan import EpochPlan, Integers, PlanOptions, Share, plan_epoch
from voxloom.loading._state import GENERATOR, read_visits
from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import NUM_SAMPLES, Subject

Visits = Callable[[int], Integers | None]
Known = tuple[dict[int, list[int]], str | None]
"""The subjects of the epochs that were read, and the sampler's generator after the last."""


class Epochs:
    """The epochs of a queue: their lengths and plans. Pure, once the visits of one are known.

    Parameters
    ----------
    counts : (S,) int
        Patches of each subject, each time it is visited.
    options : PlanOptions
        What decides the order.
    share : Share
        Which part of the epochs this rank puts out.
    visits : callable, optional
        ``visits(epoch)`` returns which subjects the epoch visits, in order; by default the
        options decide.
    """

    def __init__(
        self,
        counts: Sequence[int],
        options: PlanOptions,
        share: Share,
        visits: Visits | None = None,
    ) -> None:
        self.counts = np.asarray(counts, dtype=np.int64)
        self._total = int(self.counts.sum())
        self.options, self.share = options, share
        self._visits = visits
        self.plan = functools.lru_cache(maxsize=2)(self._plan)

    def __reduce__(self) -> tuple[Any, ...]:
        return Epochs, (self.counts, self.options, self.share, self._visits)

    def length(self, epoch: int) -> int:
        """Return how many patches of an epoch this rank puts out."""
        visits = None if self._visits is None else self._visits(epoch)
        total = self._total if visits is None else int(self.counts[visits].sum())
        per_lane = -(-total // self.share.lanes)
        return per_lane * (self.share.lanes // self.share.world)

    def subjects(self, epoch: int) -> Integers:
        """Return which subjects an epoch takes patches from, on all ranks, by rising index."""
        visits = None if self._visits is None else self._visits(epoch)
        visited = np.arange(len(self.counts)) if visits is None else np.unique(visits)
        giving = visited[self.counts[visited] > 0]
        if not len(giving):
            raise _no_patches(epoch)
        return giving

    def _plan(self, epoch: int) -> EpochPlan:
        visits = None if self._visits is None else self._visits(epoch)
        if not self.length(epoch):  # whoever looks ahead for the next patch would look for ever
            raise _no_patches(epoch)
        return plan_epoch(self.counts, epoch, self.options, visits=visits, share=self.share)


def _no_patches(epoch: int) -> QueueError:
    return QueueError(
        f"epoch {epoch} has no patches: subject_sampler, subject_weights or num_samples leave no "
        f"subject that gives any"
    )


def peek_subjects(dataset: Any) -> list[Subject | None]:
    """Return the subjects unloaded, or None where the data set does not show them."""
    if hasattr(dataset, "dry_iter"):
        return list(dataset.dry_iter())
    return [None] * len(dataset)


def count_patches(
    subjects: Sequence[Subject | None], samples_per_volume: int, sampler: PatchSampler | GridSampler
) -> list[int]:
    """Return how many patches each subject gives when it is visited.

    Raises
    ------
    QueueError
        A RuntimeError, if none gives any, or a grid cannot know the shape of a subject.
    """
    counts = [_count(subject, samples_per_volume, sampler) for subject in subjects]
    if not sum(counts):
        raise QueueError("no subject gives any patch: num_samples is 0 for all of them")
    return counts


def choose_visits(
    sampler: Any,
    weights: Sequence[float] | None,
    shares: Sequence[float] | None,
    options: PlanOptions,
    num_subjects: int,
) -> Visits | None:
    """Return what decides which subjects an epoch visits; None if each comes once.

    Parameters
    ----------
    sampler, weights : torch Sampler or sequence of float, optional
        What the user gave as ``subject_sampler`` and ``subject_weights``.
    shares : sequence of float, optional
        What ``balance='dataset'`` asks for.
    options : PlanOptions
        Says whether subjects are shuffled, and the seed.
    num_subjects : int
        Subjects of the data set.

    Raises
    ------
    ValueError
        If more than one thing would decide.
    """
    if (sampler is not None or weights is not None) and options.shuffle_subjects:
        given = "subject_weights" if sampler is None else "subject_sampler"
        raise ValueError(
            f"{given} and shuffle_subjects=True both decide which subjects come when; "
            f"set shuffle_subjects=False to use {given}"
        )
    if (sampler is None) + (weights is None) + (shares is None) < 2:
        raise ValueError(
            "subject_sampler, subject_weights and balance='dataset' decide which subjects "
            "come; give one of them"
        )
    if sampler is not None:
        return SampledVisits(sampler, num_subjects)
    drawn = shares if weights is None else weights
    return None if drawn is None else weighted_visits(drawn, num_subjects, options.seed)


def weighted_visits(weights: Sequence[float], num_subjects: int, seed: int) -> DrawnVisits:
    """Return visits of as many subjects as there are, drawn with these weights.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or all are zero, or there is not one a subject.
    """
    try:
        shares = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"subject_weights are numbers, got {weights!r:.200}: {error}") from None
    if shares.shape != (num_subjects,):
        raise ValueError(
            f"subject_weights has one weight a subject, {num_subjects}; got shape {shares.shape}"
        )
    with np.errstate(over="ignore"):
        total = shares.sum()
    if not np.isfinite(total) or (shares < 0).any() or not total:
        raise ValueError(
            f"subject_weights are finite, their sum too, not negative and not all zero, got "
            f"{list(weights)!r:.200}"
        )
    return DrawnVisits(np.cumsum(shares), Stream(seed, "weighted subjects"))


@dataclass(frozen=True, slots=True, eq=False)
class DrawnVisits:
    """Visits that are drawn anew for each epoch, with weights whose running sum is `edges`."""

    edges: npt.NDArray[np.float64]
    stream: Stream

    def __call__(self, epoch: int) -> Integers:
        """Return the subjects of an epoch, in order."""
        words = self.stream.words(len(self.edges), epoch=epoch)
        drawn = (words >> np.uint64(11)).astype(np.float64) / 2**53
        places: Integers = np.searchsorted(self.edges, drawn * self.edges[-1], side="right")
        return places


class SampledVisits:
    """Visits that a torch Sampler decides, read once an epoch and remembered.

    A sampler that has a generator of its own gives other subjects each time it is read. Epochs
    that were read are remembered, and the generator's state after the last of them: another
    queue goes on from there. One that draws from the global generator of torch goes on as that
    does, which belongs to the trainer.
    """

    def __init__(self, sampler: Any, num_subjects: int) -> None:
        if not hasattr(sampler, "__len__"):
            raise ValueError(
                f"the length of an epoch must be known: subject_sampler has no __len__, "
                f"{type(sampler).__name__} was given"
            )
        self._sampler, self._num_subjects = sampler, num_subjects
        # One value, for a thread that looks ahead changes it while another writes a state.
        self._known: Known = {}, None
        self._reading = threading.Lock()

    def __getstate__(self) -> tuple[Any, int, Known]:
        return self._sampler, self._num_subjects, self._known

    def __setstate__(self, state: tuple[Any, int, Known]) -> None:
        self._sampler, self._num_subjects, self._known = state
        self._reading = threading.Lock()

    def __call__(self, epoch: int) -> Integers:
        """Return the subjects of an epoch, in order.

        The trainer and the thread that looks ahead may both ask first: one of them reads.
        """
        with self._reading:
            if epoch not in self._known[0]:
                self._read(epoch)
            return np.asarray(self._known[0][epoch], dtype=np.int64)

    def _read(self, epoch: int) -> None:
        if hasattr(self._sampler, "set_epoch"):
            self._sampler.set_epoch(epoch)
        order = [self._checked(index) for index in self._sampler]
        kept = {number: old for number, old in self._known[0].items() if number >= epoch - 1}
        self._known = {**kept, epoch: order}, self._generator_state()

    def state(self, epoch: int) -> dict[str, Any]:
        """Return what was read for this epoch and later ones, ready for JSON."""
        orders, generator = self._known
        visits = {str(number): order for number, order in orders.items() if number >= epoch}
        return {"visits": visits} if generator is None else {"visits": visits, GENERATOR: generator}

    def restore(self, state: Mapping[str, Any]) -> Callable[[], None]:
        """Go on from what `state` returned, for this or another queue.

        Returns
        -------
        callable
            Undoes it.

        Raises
        ------
        StateError
            If it is something else.
        """
        known, generator = self._known, self._generator_state()
        orders = read_visits(state.get("visits"), self._num_subjects)
        self._set_generator(state.get(GENERATOR))
        self._known = orders, self._generator_state()

        def undo() -> None:
            self._set_generator(generator)
            self._known = known

        return undo

    def _generator_state(self) -> str | None:
        generator = generator_of(self._sampler)
        return None if generator is None else write_generator(generator)

    def _set_generator(self, text: Any) -> None:
        generator = generator_of(self._sampler)
        if generator is not None and text is not None:
            read_generator(generator, text)

    def __len__(self) -> int:
        return len(self._sampler)

    def _checked(self, index: Any) -> int:
        try:
            number = operator.index(index)
        except TypeError:
            raise QueueError(
                f"subject_sampler gives indices of subjects, one at a time, got {index!r:.200}"
            ) from None
        if not 0 <= number < self._num_subjects:
            raise QueueError(
                f"subject_sampler gave {number}, the data set has {self._num_subjects} subjects"
            )
        return number


def _count(
    subject: Subject | None, samples_per_volume: int, sampler: PatchSampler | GridSampler
) -> int:
    if isinstance(sampler, GridSampler):
        if subject is None:
            raise QueueError("a GridSampler needs a data set with dry_iter() to count its patches")
        return len(sampler.places(subject.spatial_shape))
    if subject is None or NUM_SAMPLES not in subject:
        return samples_per_volume
    number = subject[NUM_SAMPLES]
    if isinstance(number, bool) or not hasattr(number, "__index__") or number < 0:
        raise ValueError(
            f"num_samples of {subject.describe()} is a whole number of at least 0, got {number!r}"
        )
    return int(number)
