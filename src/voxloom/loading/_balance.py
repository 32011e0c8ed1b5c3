"""Labels balanced over a data set: which subjects its patches come from.

A label is chosen first, in proportion to ``p[label]``, then one of the ``n[label]`` subjects that
have it, then a voxel. That is the same as choosing a subject in proportion to the sum of
``q = p / n`` over its labels, and then one of its labels in proportion to ``q``: so the plan draws
subjects with weights, and the sampler draws labels as it always does.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from voxloom._cores import count_cores
from voxloom._errors import EmptyProbabilityMapError, QueueError
from voxloom.patches import GridSampler, LabelSampler, PatchSampler
from voxloom.subjects import Subject

_logger: Final = logging.getLogger("voxloom")
_MOST_THREADS: Final = 8


def balance_labels(
    sampler: PatchSampler | GridSampler, dataset: Any, counts: Sequence[int]
) -> tuple[PatchSampler | GridSampler, list[float] | None]:
    """Return the sampler for a data set, and how likely each subject is visited, if it decides.

    Parameters
    ----------
    sampler : PatchSampler or GridSampler
        One with ``balance='dataset'`` gives a sampler that suits this data set; any other is
        returned as it is, with None.
    dataset : SubjectsDataset
        Its label maps are looked at once, before the transform: through the sampling index
        where it is stored, else they are read, several at a time.
    counts : (S,) sequence of int
        Patches that a visit of each subject gives.

    Raises
    ------
    QueueError
        If the data set does not show its subjects.
    EmptyProbabilityMapError
        If no subject has any of the labels.
    """
    if not isinstance(sampler, LabelSampler) or sampler.balance != "dataset":
        return sampler, None
    if not hasattr(dataset, "peek"):
        raise QueueError("balance='dataset' needs a SubjectsDataset, to look at its label maps")
    held = _labels_of_all(sampler, dataset)
    given = sampler.label_probabilities or {}
    wanted = {label: share for label, share in given.items() if share}
    number = {label: sum(label in labels for labels in held) for label in wanted}
    shares = {label: wanted[label] / n for label, n in number.items() if n}
    if not shares:
        raise EmptyProbabilityMapError(
            f"none of the {len(held)} subjects has any of the labels of label_probabilities="
            f"{wanted}, or only where a patch would overhang; check labels and patch_size"
        )
    for label in wanted.keys() - shares.keys():
        _logger.warning("no subject has label %d, its share goes to the others", label)
    weights = [
        sum(shares.get(label, 0.0) for label in sorted(labels)) / max(count, 1)
        for labels, count in zip(held, counts, strict=True)
    ]
    return sampler.with_probabilities(shares), weights


def _labels_of_all(sampler: LabelSampler, dataset: Any) -> list[frozenset[int]]:
    subjects: Sequence[Subject] = dataset.dry_iter()
    _logger.info("looking for labels in the label maps of %d subjects, once", len(subjects))

    def look(index: int) -> frozenset[int]:
        name = sampler.find_label_name(subjects[index])
        subject = dataset.peek(index, names=[name])
        # A copy, which is let go of with the voxels that it reads: the user's would keep them.
        return sampler.labels_in(subject.replace(**{name: copy.copy(subject[name])}))

    with ThreadPoolExecutor(min(_MOST_THREADS, count_cores())) as threads:
        return list(threads.map(look, range(len(subjects))))
