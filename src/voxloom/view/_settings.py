"""What can be chosen on the queue page, and the plans that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from voxloom._errors import QueueError
from voxloom.loading import EpochPlan, PlanOptions, plan_epoch
from voxloom.loading._plan import Schedule

WHOLE: Final = {
    "subjects": (1, 32),
    "samples_per_volume": (1, 24),
    "max_length": (1, 200),
    "num_workers": (0, 8),
    "batch_size": (1, 16),
    "epochs": (1, 4),
    "seed": (0, 2**53 - 1),
}
SCHEDULES: Final = ("spread", "fill")
SECONDS: Final = {"load_s": (0.0, 60.0), "step_s": (0.001, 60.0)}


@dataclass(frozen=True, slots=True)
class Settings:
    """What is simulated.

    Parameters
    ----------
    subjects, samples_per_volume, max_length, num_workers, batch_size : int
        As in `Queue` and its loader. With no workers, the trainer loads while it waits.
    load_s, step_s : float
        Seconds to open a subject, and seconds that the trainer takes for a batch.
    shuffle_subjects, shuffle_patches, schedule, seed
        As in `Queue`.
    epochs : int
        How many epochs are played.

    Raises
    ------
    QueueError
        A RuntimeError, if a setting is not in the range that the page offers.

    Examples
    --------
    >>> Settings(subjects=4).subjects
    4
    """

    subjects: int = 12
    samples_per_volume: int = 8
    max_length: int = 32
    num_workers: int = 2
    load_s: float = 1.0
    batch_size: int = 4
    step_s: float = 0.3
    shuffle_subjects: bool = True
    shuffle_patches: bool = True
    schedule: Schedule = "spread"
    seed: int = 0
    epochs: int = 2

    def __post_init__(self) -> None:
        for name, (least, most) in {**WHOLE, **SECONDS}.items():
            value = getattr(self, name)
            kinds = (int,) if name in WHOLE else (int, float)
            if type(value) not in kinds or not least <= value <= most:
                kind = "a whole number" if name in WHOLE else "a number"
                raise QueueError(f"{name} is {kind} from {least} to {most}, got {value!r}")
        for name in ("shuffle_subjects", "shuffle_patches"):
            if not isinstance(getattr(self, name), bool):
                raise QueueError(f"{name} is true or false, got {getattr(self, name)!r}")
        if self.schedule not in SCHEDULES:
            raise QueueError(f"the schedule is 'spread' or 'fill', got {self.schedule!r}")

    def plans(self) -> list[EpochPlan]:
        """Return the plans of the epochs: those that a queue with these settings obeys."""
        options = PlanOptions(
            self.seed, self.max_length, self.shuffle_subjects, self.shuffle_patches, self.schedule
        )
        counts = [self.samples_per_volume] * self.subjects
        return [plan_epoch(counts, epoch, options) for epoch in range(self.epochs)]
