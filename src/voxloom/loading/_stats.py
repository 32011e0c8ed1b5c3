"""What a queue measured: values to print, to compare and to keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from voxloom.loading._mixing import Mixing

OPENING_STAGES: Final = ("read", "decode", "transform", "locate")
PATCH_STAGES: Final = ("crop", "patch transform")
WORKER_STAGES: Final = (*OPENING_STAGES, *PATCH_STAGES)
STAGES: Final = (*WORKER_STAGES, "ship", "collate", "wait")


@dataclass(frozen=True, slots=True)
class StageTime:
    """Time of one stage.

    Attributes
    ----------
    seconds : float
        For stages of the workers, of all workers together. ``"ship"`` is the time from the end
        of the work until the trainer's process knew, ``"wait"`` the time the trainer waited.
    share : float
        Of what the workers worked, for their stages; else of the time that passed.
    """

    stage: str
    seconds: float
    share: float


@dataclass(frozen=True, slots=True)
class EpochStats:
    """What was measured in one epoch, or in all of them.

    Attributes
    ----------
    epoch : int or None
        Which; None for all together.
    elapsed_s : float
        From the first patch that was asked for to the last that came.
    patches, nbytes, loads, batches : int
        Patches handed out, bytes of finished patches, subjects opened, batches handed out.
    stages : tuple of StageTime
        Time of each stage, in the order in which a patch goes through them.
    first_wait_s : float
        The wait for the first patches of each pass, which is part of the stage ``"wait"``.
    longest_wait_s : float
        The longest of the other waits.
    fill_mean : float
        Finished patches that waited when one was taken, as a share of `max_length`.
    busy : float
        What the workers worked once the queue's very first patches had come, as a share of the
        time since then; 1 is all of them, always. Before, they start.
    mixing : Mixing
        How many subjects the batches came from.
    """

    epoch: int | None
    elapsed_s: float
    patches: int
    nbytes: int
    loads: int
    batches: int
    stages: tuple[StageTime, ...]
    first_wait_s: float
    longest_wait_s: float
    fill_mean: float
    busy: float
    mixing: Mixing

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage that took any."""
        return {stage.stage: stage.seconds for stage in self.stages if stage.seconds}

    @property
    def patches_per_s(self) -> float:
        """Patches that came in a second."""
        return self.patches / self.elapsed_s if self.elapsed_s else 0.0

    @property
    def waited_s(self) -> float:
        """Seconds that the trainer waited."""
        return self.seconds.get("wait", 0.0)

    @property
    def waiting_share(self) -> float:
        """Share of the time that the trainer waited, after the first patches of each pass."""
        rest = self.elapsed_s - self.first_wait_s
        return max(self.waited_s - self.first_wait_s, 0.0) / rest if rest > 0 else 0.0

    @property
    def step_s(self) -> float:
        """Seconds that the trainer took between a batch that came and the next it asked for."""
        return max(self.elapsed_s - self.waited_s, 0.0) / max(self.batches - 1, 1)

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            **asdict(self),
            "stages": {s.stage: {"seconds": s.seconds, "share": s.share} for s in self.stages},
            "patches_per_s": self.patches_per_s,
            "waiting_share": self.waiting_share,
        }


@dataclass(frozen=True, slots=True, repr=False)
class QueueStats:
    """What a queue measured until now; printed, it is a table.

    Attributes
    ----------
    executor : str
        Where the work is done: ``"inline"`` or what kind of workers do it.
    workers : int
        How many workers; the trainer's own thread is one.
    max_length, ready, held : int
        The bound; how many patches are finished; how many places are taken or promised.
    epochs : tuple of EpochStats
        Each epoch, the last ones where there were many.
    total : EpochStats
        All epochs together.
    reason : str
        Why this executor.
    """

    executor: str
    workers: int
    max_length: int
    ready: int
    held: int
    epochs: tuple[EpochStats, ...]
    total: EpochStats
    reason: str = ""

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of each stage, over all epochs."""
        return self.total.seconds

    @property
    def waited_s(self) -> float:
        """Seconds that the trainer waited, over all epochs."""
        return self.total.waited_s

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {
            **{name: getattr(self, name) for name in _PLAIN},
            "seconds": self.seconds,
            "waited_s": self.waited_s,
            "total": self.total.as_dict(),
            "epochs": [epoch.as_dict() for epoch in self.epochs],
        }

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name) if name in _NAMES else self.as_dict()[name]

    def __repr__(self) -> str:
        return (
            f"QueueStats({self.total.patches} patches, {self.total.patches_per_s:.1f} a second, "
            f"waiting {self.total.waiting_share:.1%}, {self.executor}, {self.workers} workers)"
        )

    def __str__(self) -> str:
        return "\n".join([*_facts(self), "", *_table(self.total)])


_PLAIN: Final = ("executor", "reason", "workers", "max_length", "ready", "held")
_NAMES: Final = (*_PLAIN, "seconds", "waited_s")


def _facts(stats: QueueStats) -> list[str]:
    total, mixing = stats.total, stats.total.mixing
    return [
        f"{total.patches} patches of {total.loads} opened subjects in {total.elapsed_s:.1f} s: "
        f"{total.patches_per_s:.1f} a second, {total.nbytes / 2**20:.1f} MiB",
        f"executor: {stats.executor}" + (f", {stats.reason}" if stats.reason else ""),
        f"workers: {stats.workers}, busy {total.busy:.0%}",
        f"queue: {stats.ready} of {stats.max_length} ready now, {total.fill_mean:.0%} on average",
        f"trainer: waiting {total.waiting_share:.1%} after the first {total.first_wait_s:.2f} s, "
        f"longest {total.longest_wait_s:.2f} s",
        f"subjects in a batch: {mixing.distinct_mean:.2f} on average, {mixing.distinct_min} at "
        f"least, {mixing.shuffled_distinct:.2f} in a global shuffle; design effect "
        f"{mixing.design_effect:.2f}",
    ]


def _table(epoch: EpochStats) -> list[str]:
    rows = [f"{'stage':<16}{'seconds':>10}{'share':>8}"]
    rows += [f"{s.stage:<16}{s.seconds:>10.3f}{s.share:>8.1%}" for s in epoch.stages]
    return rows
