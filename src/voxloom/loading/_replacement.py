"""What happens to a subject that cannot be used: an error, another try, or another subject."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from voxloom._errors import PatchError
from voxloom._random import Stream, permutation
from voxloom.loading._plan import Integers

OnError = Literal["raise", "retry", "replace"]

# A subject's own patches are numbered from 0; those that it gives in another's place are not
# among them, whoever the other is. Both numbers fit in the 64 bits of a counter.
_NUMBERS_A_SUBJECT: Final = 2**32


@dataclass(frozen=True, slots=True)
class ErrorPolicy:
    """How often work is tried, and what follows.

    Parameters
    ----------
    on_error : {'raise', 'retry', 'replace'}
        Raise the first error; try again first; or try again and then take another subject.
    retries : int
        How often work that failed is tried again, unless `on_error` is ``'raise'``.
    max_replaced : int
        The most subjects that may be replaced in a run.

    Examples
    --------
    >>> ErrorPolicy().runs, ErrorPolicy("retry", retries=2).runs
    (1, 3)
    """

    on_error: OnError = "raise"
    retries: int = 1
    max_replaced: int = 1

    def __post_init__(self) -> None:
        if self.on_error not in ("raise", "retry", "replace"):
            raise ValueError(f"on_error is 'raise', 'retry' or 'replace', got {self.on_error!r}")
        for name, value in (("retries", self.retries), ("max_replaced", self.max_replaced)):
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
                raise ValueError(f"{name} is a whole number of at least 0, got {value!r}")

    @property
    def runs(self) -> int:
        """How often work is done before its exception counts."""
        return 1 if self.on_error == "raise" else 1 + self.retries

    @property
    def deaths(self) -> int:
        """How many workers a piece of work may end: one may have died of something else."""
        return max(2, self.runs)


class Substitutes:
    """Who stands in for whom. A pure function of the seed, the epoch, the subject and the try.

    Parameters
    ----------
    seed : int
        Seed of the run.
    candidates : callable
        ``candidates(epoch)`` returns the subjects that an epoch can be made of.
    grid_counts : (S,) int, optional
        How many places each subject's grid has, where patches come from grids.

    Examples
    --------
    >>> import numpy as np
    >>> substitutes = Substitutes(0, lambda epoch: np.arange(3))
    >>> sorted([substitutes.choose(0, 1, 0), substitutes.choose(0, 1, 1)])
    [0, 2]
    >>> substitutes.choose(0, 1, 2) is None
    True
    """

    def __init__(
        self,
        seed: int,
        candidates: Callable[[int], Integers],
        grid_counts: Integers | None = None,
    ) -> None:
        self._seed, self._candidates, self._grid_counts = seed, candidates, grid_counts

    def choose(self, epoch: int, subject: int, attempt: int) -> int | None:
        """Return who stands in for a subject after `attempt` others failed too, or None."""
        others = self._candidates(epoch)
        others = others[others != subject]
        if attempt >= len(others):
            return None
        words = Stream(self._seed, "substitute", subject).words(len(others), epoch=epoch)
        return int(others[permutation(words)][attempt])

    def number(self, subject: int, patch: int, substitute: int) -> int:
        """Return which of its patches a substitute gives: not one that it gives for itself.

        A grid has no others: there its places are taken in turn.
        """
        if self._grid_counts is not None:
            return patch % int(self._grid_counts[substitute])
        return (subject + 1) * _NUMBERS_A_SUBJECT + patch


@dataclass(frozen=True, slots=True)
class Link:
    """One subject that could not be used, who was tried next, and why."""

    subject: int
    substitute: int
    reason: str


class Replacements:
    """Which subjects were replaced, counted when the trainer is given their substitutes.

    Workers run ahead; what they find counts in the order of the plan, so the same subjects are
    listed, and the same one is too many, however many workers there are.

    Parameters
    ----------
    most : int
        The most subjects that may be replaced.

    Examples
    --------
    >>> replacements = Replacements(1)
    >>> replacements.accept((0, 5), (Link(2, 7, "damaged"),))
    [Link(subject=2, substitute=7, reason='damaged')]
    >>> replacements.state((0, 5)), replacements.state((0, 6))
    ([], [[0, 2, 7]])
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._accepted: list[tuple[tuple[int, int], Link]] = []

    def accept(self, key: tuple[int, int], links: tuple[Link, ...]) -> list[Link]:
        """Count the replacements that led to a patch; return those new in its epoch.

        Parameters
        ----------
        key : (int, int)
            Epoch and place of the patch.
        links : tuple of Link
            Who failed and who was tried next, the last of whom gave the patch.

        Raises
        ------
        PatchError
            If more subjects have failed than may be replaced.
        """
        known = {(k[0], link.subject, link.substitute) for k, link in self._accepted}
        fresh = [x for x in links if (key[0], x.subject, x.substitute) not in known]
        accepted = [*self._accepted, *((key, link) for link in fresh)]
        failed = {link.subject: link.reason for _, link in accepted}
        if len(failed) > self.most:
            raise over_budget(failed.values(), self.most)
        self._accepted = accepted
        return fresh

    def forget_from(self, key: tuple[int, int]) -> None:
        """Forget those that led to patches from `key` on: made ahead, and never handed out."""
        self._accepted = [(k, link) for k, link in self._accepted if k < key]

    def state(self, key: tuple[int, int]) -> list[list[int]]:
        """Return ``[epoch, subject, substitute]`` of what led to patches before `key`.

        Only the last replacement of each subject is kept: the list is as long as the budget.
        """
        last = {link.subject: (k[0], link) for k, link in self._accepted if k < key}
        return [[epoch, link.subject, link.substitute] for epoch, link in last.values()]

    def restore(self, state: Iterable[Sequence[int]]) -> None:
        """Go on from what `state` returned."""
        self._accepted = [
            ((epoch, -1), Link(subject, substitute, f"subject {subject}, earlier"))
            for epoch, subject, substitute in state
        ]


def over_budget(reasons: Iterable[str], most: int) -> PatchError:
    """Return the error for more failed subjects than may be replaced."""
    listed = "\n".join(f"  {reason}" for reason in reasons)
    return PatchError(
        f"more subjects failed than may be replaced, max_replaced={most}; mend or leave out "
        f"these, or raise max_replaced:\n{listed}"
    )
