"""What a queue does about faults."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Self

from voxloom.loading._plan import Integers
from voxloom.loading._replacement import ErrorPolicy, OnError, Replacements, Substitutes


@dataclass(frozen=True, slots=True, eq=False)
class FaultOptions:
    """What is done about faults.

    Parameters
    ----------
    policy : ErrorPolicy
        How often work is tried, and what follows.
    replacements : Replacements
        Where replaced subjects are counted.
    substitutes : Substitutes, optional
        Who stands in for whom, where the policy replaces subjects.
    timeout_s : float
        How long workers may report nothing while the trainer waits, in seconds.

    Examples
    --------
    >>> FaultOptions.of("replace", 1, None, 300.0, num_subjects=450).policy.max_replaced
    5
    """

    policy: ErrorPolicy = field(default_factory=ErrorPolicy)
    replacements: Replacements = field(default_factory=lambda: Replacements(0))
    substitutes: Substitutes | None = None
    timeout_s: float = 300.0

    @classmethod
    def of(
        cls,
        on_error: OnError,
        retries: int,
        max_replaced: int | None,
        timeout: Any,
        *,
        num_subjects: int,
    ) -> Self:
        """Return the options that the arguments of a queue say.

        Raises
        ------
        ValueError
            If one of them cannot be used.
        """
        most = math.ceil(num_subjects / 100) if max_replaced is None else max_replaced
        policy = ErrorPolicy(on_error, retries, most)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
            raise ValueError(f"timeout is a positive number of seconds, got {timeout!r}")
        longest = min(float(timeout), threading.TIMEOUT_MAX)  # infinity too
        return cls(policy, Replacements(most), timeout_s=longest)

    def with_substitutes(
        self, seed: int, candidates: Callable[[int], Integers], grid_counts: Integers | None
    ) -> Self:
        """Return the options with who stands in for whom, which needs the seed of the run."""
        return replace(self, substitutes=Substitutes(seed, candidates, grid_counts))
