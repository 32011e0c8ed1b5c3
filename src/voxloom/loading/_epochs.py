"""What each epoch consists of: which subjects, how often, and how many patches of each."""

from __future__ import annotations

import functools
import operator
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from voxloom._errors import QueueError, StateError
from voxloom._random import Stream
from voxloom.loading._generator_state import generator_of, read_generator, write_generator
from voxloom.loading._plan import EpochPlan, Integers, PlanOptions, Share, plan_epoch
from voxloom.loading._state import DEALT, GENERATOR, read_epoch, read_visits
from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import NUM_SAMPLES, Subject, as_subject

Visits = Callable[[int], Integers | None]
_WEIGHTED: Final = "weighted subjects"


class Known(NamedTuple):
    """The subjects of epochs that were read, which comes next, and the generator after the last."""

    orders: dict[int, Integers]
    unread: int
    generator: str | None


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
        return self._length(None if self._visits is None else self._visits(epoch))

    @property
    def are_equally_long(self) -> bool:
        """Whether it is sure that each epoch has as many patches as any other."""
        if isinstance(self._visits, DrawnVisits):
            return bool((self.counts == self.counts[0]).all())
        return self._visits is None

    def _length(self, visits: Integers | None) -> int:
        total = self._total if visits is None else int(self.counts[visits].sum())
        per_lane = -(-total // self.share.lanes)
        return per_lane * (self.share.lanes // self.share.world)

    def known_length(self, epoch: int) -> int:
        """Return the length of an epoch, or 0 where a sampler would have to be read for it."""
        if not isinstance(self._visits, SampledVisits):
            return self.length(epoch)
        visits = self._visits.known(epoch)
        return 0 if visits is None else self._length(visits)

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
    if hasattr(dataset, "dry_iter") and len(shown := list(dataset.dry_iter())) == len(dataset):
        return [as_subject(subject, "dry_iter() of the data set") for subject in shown]
    if isinstance(dataset, list | tuple):
        return [subject if isinstance(subject, Subject) else None for subject in dataset]
    from torch.utils import data  # workers import this module, and need torch for nothing else

    if isinstance(dataset, data.Subset):
        shown = peek_subjects(dataset.dataset)
        return [shown[index] for index in dataset.indices]
    if isinstance(dataset, data.ConcatDataset):
        return [subject for part in dataset.datasets for subject in peek_subjects(part)]
    return [None] * len(dataset)


def count_patches(
    subjects: Sequence[Subject | None], samples_per_volume: int, sampler: PatchSampler | GridSampler
) -> list[int]:
    """Return how many patches each subject gives when it is visited.

    Raises
    ------
    QueueError
        A RuntimeError, if there is no subject, or none gives any, or a grid cannot know the shape
        of one.
    """
    counts = [_count(subject, samples_per_volume, sampler) for subject in subjects]
    if not counts:
        raise QueueError("the data set is empty: there is no subject to cut patches of")
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
            f"shuffle_subjects cannot be set with {given}: both decide which subjects come when; "
            f"set shuffle_subjects=False to use {given}"
        )
    if (sampler is None) + (weights is None) + (shares is None) < 2:
        raise ValueError(
            "subject_sampler, subject_weights and balance='dataset' decide which subjects "
            "come; give one of them"
        )
    if sampler is not None:
        return SampledVisits(sampler, num_subjects, options.seed)
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
    return DrawnVisits(np.cumsum(shares), Stream(seed, _WEIGHTED))


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
    """Visits that a torch Sampler decides, read once an epoch, in turn, and remembered.

    A sampler that has a generator of its own gives other subjects each time it is read. So
    epochs are read one after the other, whoever asks first for which, and remembered until the
    trainer has left them, and with them the generator's state after the last: another queue
    goes on from there. A sampler of torch that was given no generator gets one for each reading,
    decided by the seed and the epoch: torch's global one belongs to the trainer, who draws from
    it while another thread looks ahead.
    """

    def __init__(self, sampler: Any, num_subjects: int, seed: int = 0) -> None:
        if not hasattr(sampler, "__len__"):
            raise ValueError(
                f"the length of an epoch must be known: subject_sampler has no __len__ method, "
                f"{type(sampler).__name__} was given"
            )
        self._sampler, self._num_subjects, self._seed = sampler, num_subjects, seed
        # One value, for a thread that looks ahead changes it while another writes a state.
        self._known = Known({}, 0, None)
        self._reading = threading.Lock()

    @property
    def sampler(self) -> Any:
        """The torch Sampler that decides."""
        return self._sampler

    def __getstate__(self) -> tuple[Any, int, int, Known]:
        return self._sampler, self._num_subjects, self._seed, self._known

    def __setstate__(self, state: tuple[Any, int, int, Known]) -> None:
        self._sampler, self._num_subjects, self._seed, self._known = state
        self._reading = threading.Lock()

    def __call__(self, epoch: int) -> Integers:
        """Return the subjects of an epoch, in order.

        The trainer and the thread that looks ahead may both ask first: one of them reads.

        Raises
        ------
        QueueError
            If the sampler gives something else than subjects, or the epoch is forgotten.
        """
        with self._reading:
            for number in range(self._known.unread, epoch + 1):
                self._read(number)
            if epoch not in self._known.orders:
                raise QueueError(
                    f"the subjects of epoch {epoch} are not known any more: a subject_sampler "
                    f"is read once an epoch; ask before the next epoch has ended"
                )
            return self._known.orders[epoch]

    def known(self, epoch: int) -> Integers | None:
        """Return the subjects of an epoch if they are known, without reading anything."""
        return self._known.orders.get(epoch)

    def forget_before(self, epoch: int) -> None:
        """Let go of epochs that are over, but for the last before `epoch`."""
        with self._reading:
            orders = {n: order for n, order in self._known.orders.items() if n >= epoch - 1}
            self._known = self._known._replace(orders=orders)

    def with_seed(self, seed: int) -> SampledVisits:
        """Return visits of another seed, which only a sampler without a generator asks for."""
        return SampledVisits(self._sampler, self._num_subjects, seed) if self._borrows else self

    def _read(self, epoch: int) -> None:
        if hasattr(self._sampler, "set_epoch"):
            self._sampler.set_epoch(epoch)
        before = self._generator_state()
        try:
            with self._lent_generator(epoch):
                order = np.array([self._checked(index) for index in self._sampler], dtype=np.int64)
        except BaseException:  # Ctrl-C too: whoever reads it again must get the same
            self._set_generator(before)
            raise
        order.setflags(write=False)
        orders = {**self._known.orders, epoch: order}
        self._known = Known(orders, epoch + 1, self._generator_state())

    @property
    def _borrows(self) -> bool:
        """Whether the sampler is one of torch that may be given a generator, and was not."""
        from torch.utils import data  # workers come here too, and need torch for nothing else

        of_torch = data.RandomSampler, data.SubsetRandomSampler, data.WeightedRandomSampler
        return isinstance(self._sampler, of_torch) and self._sampler.generator is None

    @contextmanager
    def _lent_generator(self, epoch: int) -> Iterator[None]:
        if not self._borrows:
            yield
            return
        import torch

        word = int(Stream(self._seed, "subject sampler").words(1, epoch=epoch)[0])
        self._sampler.generator = torch.Generator().manual_seed(word >> 1)
        try:
            yield
        finally:
            self._sampler.generator = None

    def state(self, epoch: int) -> dict[str, Any]:
        """Return what was read for this epoch and later ones, ready for JSON."""
        orders, _, generator = self._known
        visits = {
            str(number): order.tolist() for number, order in orders.items() if number >= epoch
        }
        state: dict[str, Any] = {"visits": visits}
        if generator is not None:
            state[GENERATOR] = generator
        if self._dealt is not None:
            state[DEALT] = self._dealt
        return state

    def restore(self, state: Mapping[str, Any]) -> Callable[[], None]:
        """Go on from what `state` returned, for this or another queue.

        A sampler that deals subjects out to ranks, as a `DistributedSampler` does, is read again
        where the state is that of another rank.

        Returns
        -------
        callable
            Undoes it.

        Raises
        ------
        StateError
            If it is something else.
        """
        epoch, listed = read_epoch(state), read_visits(state.get("visits"), self._num_subjects)
        if state.get(DEALT, self._dealt) != self._dealt:
            listed = self._of_other_rank(state[DEALT])
        orders = {number: np.array(order, dtype=np.int64) for number, order in listed.items()}
        unread = max(orders, default=epoch - 1) + 1
        with self._reading:
            known, generator = self._known, self._generator_state()
            self._set_generator(state.get(GENERATOR))
            self._known = Known(orders, unread, self._generator_state())

        def undo() -> None:
            with self._reading:
                self._set_generator(generator)
                self._known = known

        return undo

    @property
    def _dealt(self) -> list[int] | None:
        """To which rank of how many the sampler deals subjects out, if it does that."""
        rank = getattr(self._sampler, "rank", None)
        world = getattr(self._sampler, "num_replicas", None)
        return [rank, world] if isinstance(rank, int) and isinstance(world, int) else None

    @property
    def is_shared(self) -> bool:
        """Whether the sampler deals subjects out to several ranks."""
        return self._dealt is not None and self._dealt[1] > 1

    def _of_other_rank(self, dealt: Any) -> dict[int, list[int]]:
        """Return nothing, to be read anew, if the state is of as many ranks."""
        is_pair = isinstance(dealt, list | tuple) and len(dealt) == 2
        if self._dealt is None or not is_pair or dealt[1] != self._dealt[1]:
            raise StateError(
                f"subject_sampler: dealt out to rank and number of ranks {dealt!r} in the state, "
                f"{self._dealt!r} in this queue; to go on with another number of ranks leave the "
                f"DistributedSampler out, and the queue shares its epochs by itself"
            )
        return {}

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


def with_seed(visits: Visits | None, seed: int) -> Visits | None:
    """Return the same visits, where they are drawn with another seed."""
    if isinstance(visits, DrawnVisits):
        return replace(visits, stream=Stream(seed, _WEIGHTED))
    return visits.with_seed(seed) if isinstance(visits, SampledVisits) else visits


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
