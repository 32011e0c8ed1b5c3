"""Making one patch of a plan again, here and now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from voxloom._errors import QueueError
from voxloom.geometry import Index3
from voxloom.loading._batch import as_subject_patch
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._inline import InlineExecutor
from voxloom.loading._plan import EpochPlan
from voxloom.loading._slots import SlotMemory
from voxloom.loading._work import WorkSpec
from voxloom.subjects import Subject


@dataclass(frozen=True, slots=True)
class Explanation:
    """Where one patch of the plan comes from, and the patch.

    Attributes
    ----------
    epoch, plan_index : int
        Its place in training.
    subject, subject_name : int, str
        Index of the subject in the data set; its id, name or file.
    patch_number : int
        Which of its subject's patches it is.
    index_ini : (i, j, k)
        Its first voxel in the transformed subject.
    seconds : dict
        How long each stage took just now.
    patch : Subject
        What the queue hands out.
    """

    epoch: int
    plan_index: int
    subject: int
    subject_name: str
    patch_number: int
    index_ini: Index3
    seconds: dict[str, float]
    patch: Subject = field(repr=False)

    def __str__(self) -> str:
        took = ", ".join(f"{stage} {1e3 * each:.1f} ms" for stage, each in self.seconds.items())
        return (
            f"plan index {self.plan_index} of epoch {self.epoch}: patch {self.patch_number} of "
            f"subject {self.subject} ({self.subject_name}), first voxel {self.index_ini}; {took}"
        )


def explain_patch(
    plan: EpochPlan, index: int, spec: WorkSpec, describe: Callable[[int], str]
) -> Explanation:
    """Make one patch of a plan in this thread, and say where it comes from.

    Parameters
    ----------
    plan : EpochPlan
        The plan of its epoch.
    index : int
        Its place in the plan.
    spec : WorkSpec
        What workers know.
    describe : callable
        Gives the name of a subject by its index.

    Raises
    ------
    QueueError
        If the plan has no such place.
    PatchError
        If the patch cannot be made: the same error that the queue raises.
    """
    if not 0 <= index < len(plan):
        raise QueueError(f"epoch {plan.epoch} has plan indices 0 to {len(plan) - 1}, got {index}")
    memory = SlotMemory(1, shared=False)
    dispatcher = Dispatcher(
        lambda epoch: _only(plan, index, epoch),
        InlineExecutor(replace(spec, patches_per_subject=1), memory),
        memory,
        is_background=False,
        describe=describe,
    )
    try:
        dispatcher.seek(plan.epoch, index)
        patch = dispatcher.take(plan.epoch, index)
        made = as_subject_patch(patch)
    finally:
        dispatcher.close()
    stats = dispatcher.meter.total(workers=1, max_length=1)
    stages = {name: took for name, took in stats.seconds.items() if name != "ship"}
    return Explanation(
        plan.epoch, index, patch.subject, describe(patch.subject), patch.number,
        patch.index_ini, stages, made,
    )  # fmt: skip


def _only(plan: EpochPlan, index: int, epoch: int) -> EpochPlan:
    """Return the plan up to one patch, so that no other is made."""
    end = index + 1
    return EpochPlan(epoch, plan.subjects[:end], plan.patches[:end], plan.residencies[:end])
