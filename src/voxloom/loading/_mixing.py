"""How many subjects the batches of a sequence of patches come from."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom.loading._plan import EpochPlan

# Below this share of the subjects that a global shuffle would bring into a batch, say so.
_FEW: Final = 0.5
_LEAST_BATCHES: Final = 16  # of fewer, an average says little


@dataclass(frozen=True, slots=True)
class Mixing:
    """How mixed batches are.

    Attributes
    ----------
    batches : int
        How many were looked at.
    distinct_mean, distinct_min : float, int
        Different subjects in a batch.
    shuffled_distinct : float
        What `distinct_mean` is expected to be when all patches are shuffled together.
    design_effect : float
        How much more the mean of a batch varies than after a global shuffle, if patches of one
        subject were all alike: ``(1 + p / m) / (1 + g / m)`` for batches of m patches, with p
        ordered pairs of one subject in a batch and g expected of a global shuffle. 1 is as good
        as a global shuffle, less is better. It is the design effect of a cluster sample
        (Kish 1965, Survey Sampling, section 5.4) at an intraclass correlation of 1, its bound.

    Examples
    --------
    >>> measure_mixing([0, 0, 1, 1, 2, 2], batch_size=2).distinct_mean
    1.0
    >>> round(measure_mixing([0, 0, 1, 1, 2, 2], batch_size=2).design_effect, 3)
    1.667
    """

    batches: int
    distinct_mean: float
    distinct_min: int
    shuffled_distinct: float
    design_effect: float


class BatchCounter:
    """Counts the subjects of batches as they leave."""

    def __init__(self) -> None:
        self.batches = self.patches = self.pairs = self.distinct = 0
        self.fewest: int | None = None

    def add(self, subjects: Iterable[int]) -> None:
        """Count one batch."""
        counts = Counter(subjects).values()
        size, distinct = sum(counts), len(counts)
        self.batches += 1
        self.patches += size
        self.distinct += distinct
        self.pairs += sum(count * count for count in counts) - size
        self.fewest = distinct if self.fewest is None else min(self.fewest, distinct)

    def merge(self, other: BatchCounter) -> None:
        """Add what another has counted."""
        self.batches += other.batches
        self.patches += other.patches
        self.distinct += other.distinct
        self.pairs += other.pairs
        known = [count for count in (self.fewest, other.fewest) if count is not None]
        self.fewest = min(known, default=None)

    def mixing(self, patches_of_subjects: npt.ArrayLike) -> Mixing:
        """Return how mixed the batches were, against a global shuffle of these many patches."""
        if not self.batches:
            return Mixing(0, 0.0, 0, 0.0, 1.0)
        counts = np.asarray(patches_of_subjects, dtype=np.float64)
        size = self.patches / self.batches
        pairs = self.pairs / self.batches
        effect = (1 + pairs / size) / (1 + _shuffled_pairs(counts, size) / size)
        shuffled = _shuffled_distinct(counts, round(size))
        mean = self.distinct / self.batches
        return Mixing(self.batches, mean, self.fewest or 0, shuffled, effect)


def measure_mixing(subjects: npt.ArrayLike, batch_size: int) -> Mixing:
    """Return how mixed the batches are into which a sequence of subjects is cut.

    Parameters
    ----------
    subjects : (N,) int
        Whose patch each is, in the order in which they leave.
    batch_size : int
        Patches in a batch. A shorter last one is left out, unless it is the only one.
    """
    sequence = np.asarray(subjects, dtype=np.int64)
    whole = len(sequence) // batch_size * batch_size or len(sequence)
    rows = np.arange(whole) // batch_size
    keys = rows * (int(sequence.max(initial=0)) + 1) + sequence[:whole]
    found, counts = np.unique(keys, return_counts=True)
    distinct = np.bincount(found // (int(sequence.max(initial=0)) + 1))
    counter = BatchCounter()
    counter.batches, counter.patches = len(distinct), whole
    counter.distinct, counter.fewest = int(distinct.sum()), int(distinct.min(initial=batch_size))
    counter.pairs = int((counts * counts).sum()) - whole
    return counter.mixing(np.unique(sequence, return_counts=True)[1])


def warn_if_few_subjects(plan: EpochPlan, batch_size: int, settings: dict[str, Any]) -> bool:
    """Warn where batches come from far fewer subjects than a global shuffle would give.

    Tell whether it did.
    """
    mixing = measure_mixing(plan.subjects, batch_size)
    if mixing.batches < _LEAST_BATCHES or mixing.distinct_mean >= _FEW * mixing.shuffled_distinct:
        return False
    given = ", ".join(f"{name}={value}" for name, value in settings.items())
    warnings.warn(
        f"batches of {batch_size} come from {mixing.distinct_mean:.1f} subjects on average, where "
        f"a shuffle of the whole epoch would give {mixing.shuffled_distinct:.1f} ({given}): give "
        f"a larger max_length or fewer samples_per_volume; queue.simulate(...) shows what they do",
        UserWarning,
        stacklevel=2,
    )
    return True


def _shuffled_pairs(counts: npt.NDArray[np.float64], size: float) -> float:
    total = float(counts.sum())
    if total <= 1:
        return 0.0
    same = float((counts * (counts - 1)).sum()) / (total * (total - 1))
    return size * (size - 1) * same


def _shuffled_distinct(counts: npt.NDArray[np.float64], size: int) -> float:
    """Return how many subjects `size` patches come from that are drawn without replacement."""
    total = float(counts.sum())
    drawn: Sequence[int] = range(min(size, int(total)))
    missing = np.ones(len(counts))
    for number in drawn:
        missing *= np.clip(total - counts - number, 0, None) / (total - number)
    return float((1 - missing).sum())
