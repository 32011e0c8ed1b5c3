"""The plan of a run: which patches leave when on this rank, and the state that says where."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, final

from voxloom.loading._epochs import DrawnVisits, Epochs, SampledVisits, Visits, with_seed
from voxloom.loading._plan import PlanOptions, Share
from voxloom.loading._ranks import agree_on, find_share
from voxloom.loading._state import fingerprint, make_state, read_delivered, read_epoch, read_seed
from voxloom.patches import GridSampler, PatchSampler
from voxloom.subjects import Subject


@dataclass(frozen=True, slots=True)
class RankOptions:
    """Which rank this is of how many, and the lanes that they share; None is looked up late."""

    rank: int | None = None
    world: int | None = None
    lanes: int | None = None


@final
class RunPlan:
    """The epochs of a run, as a rank sees them.

    Ranks are looked up late, and a seed that was drawn is agreed on once they can talk: a queue
    may be made before `torch.distributed` is initialised.

    Parameters
    ----------
    subjects : sequence of Subject or None
        Unloaded, or None where the data set does not show them.
    counts : sequence of int
        Patches of each subject, each time it is visited.
    options : PlanOptions
        What decides the order.
    visits : callable, optional
        Which subjects an epoch visits; by default each comes once.
    ranks : RankOptions
        What the user said about ranks.
    sampler : PatchSampler or GridSampler
        What cuts patches; the state of a run with another is refused.
    seed_is_given : bool
        Whether the seed was given, the same on all ranks, or drawn on each.

    Raises
    ------
    ValueError
        If ranks and lanes do not fit together, or there are more lanes than patches may be held.
    """

    def __init__(
        self,
        subjects: Sequence[Subject | None],
        counts: Sequence[int],
        options: PlanOptions,
        visits: Visits | None,
        ranks: RankOptions,
        sampler: PatchSampler | GridSampler,
        *,
        seed_is_given: bool,
    ) -> None:
        self.options, self.visits = options, visits
        self._subjects, self._counts = subjects, counts
        self._ranks = ranks
        self._sampler = f"{type(sampler).__name__} of {sampler.patch_size}"
        self._seed_is_given = self._is_agreed = seed_is_given
        self._may_differ = not seed_is_given  # from the seeds that other ranks drew
        self.epochs = self._current_epochs()
        if isinstance(visits, SampledVisits) and visits.is_shared and len(set(counts)) > 1:
            warnings.warn(
                "subject_sampler deals subjects with different num_samples out to ranks, which "
                "take different numbers of steps then, and may wait for each other for ever; "
                "leave it out, and the queue shares its epochs evenly",
                stacklevel=4,
            )

    @property
    def num_subjects(self) -> int:
        """Number of subjects that an epoch visits."""
        if isinstance(self.visits, SampledVisits):
            return len(self.visits)
        return len(self._counts)

    @property
    def asks_sampler(self) -> bool:
        """Whether a sampler of torch decides what epochs visit."""
        return isinstance(self.visits, SampledVisits)

    def has_other_ranks(self) -> bool:
        """Follow ranks that came to be since; tell whether that changed this rank's share."""
        epochs = self._current_epochs()
        if epochs.share == self.epochs.share:
            return False
        self.epochs = epochs
        return True

    def agree(self) -> bool:
        """Follow ranks that came to be since, and take the first one's seed if none was given.

        All ranks ask at the same time. Tells whether that changed what this one puts out.
        """
        seed, share = self.options.seed, self.epochs.share
        self.has_other_ranks()
        if self.epochs.share.world > 1 and not self._is_agreed:
            agreed = agree_on(seed)
            if agreed is not None:
                self._is_agreed, self._may_differ = True, False
                self._take_seed(agreed)
        return (seed, share) != (self.options.seed, self.epochs.share)

    def begin(self, epoch: int) -> None:
        """Note that the trainer reads an epoch: those before it are over."""
        if self.epochs.share.world > 1 and self._may_differ:
            self._may_differ = False
            warnings.warn(
                "each rank drew a seed of its own, so that patches of some subjects come twice and "
                "those of others never: give seed=, or initialise torch.distributed before the "
                "first pass",
                stacklevel=2,
            )
        if isinstance(self.visits, SampledVisits):
            self.visits.forget_before(epoch)

    def state(self, epoch: int, delivered: int) -> dict[str, Any]:
        """Return what is needed to go on after `delivered` patches of this rank in an epoch."""
        share = self.epochs.share
        total = self.epochs.length(epoch) * share.world
        data = {"patches": total, "sampler": self._sampler, "fingerprint": self._fingerprint}
        state = make_state(self.options, share.lanes, data, epoch, delivered * share.world)
        if isinstance(self.visits, SampledVisits):
            state.update(self.visits.state(epoch))
        return state

    def restore(self, state: Mapping[str, Any]) -> tuple[int, int]:
        """Return the epoch of a state and the patches of this rank delivered in it.

        A seed that was drawn gives way to that of the state: nobody asked for it.

        Raises
        ------
        StateError
            A ValueError, if the state is of a run with other subjects, seed or plan.
        """
        epoch = read_epoch(state)
        with ExitStack() as undo:
            if not self._seed_is_given and (seed := read_seed(state)) is not None:
                undo.callback(self._put_back, self.options, self.visits, self.epochs)
                self._take_seed(seed)
            if isinstance(self.visits, SampledVisits):
                undo.callback(self.visits.restore(state))
            # Of its own epoch: they differ in length where drawn subjects differ in num_samples.
            delivered = read_delivered(state, self.state(epoch, 0))
            undo.pop_all()
        self._may_differ = False
        if isinstance(self.visits, SampledVisits):  # a plan that was made for others is forgotten
            self.epochs = self._current_epochs()
        return epoch, delivered // self.epochs.share.world

    def _take_seed(self, seed: int) -> None:
        self.options = dataclasses.replace(self.options, seed=seed)
        self.visits = with_seed(self.visits, seed)
        self.epochs = self._current_epochs()

    def _put_back(self, options: PlanOptions, visits: Visits | None, epochs: Epochs) -> None:
        self.options, self.visits, self.epochs = options, visits, epochs

    @functools.cached_property
    def _fingerprint(self) -> str:
        drawn = self.visits.edges.tolist() if isinstance(self.visits, DrawnVisits) else ()
        return fingerprint(self._subjects, self._counts, drawn)

    def _current_epochs(self) -> Epochs:
        """Return the epochs of this rank, as ranks are known now."""
        share = self._find_share()
        if self.options.max_length < share.lanes:
            raise ValueError(
                f"max_length is at least the number of lanes, {share.lanes}; "
                f"got {self.options.max_length}"
            )
        return Epochs(self._counts, self.options, share, self.visits)

    def _find_share(self) -> Share:
        ranks = self._ranks
        if ranks.rank is None and isinstance(self.visits, SampledVisits):
            return find_share(0, 1, ranks.lanes)  # the sampler deals subjects out to the ranks
        return find_share(ranks.rank, ranks.world, ranks.lanes)
