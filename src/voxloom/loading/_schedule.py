"""Which schedule suits a data set: a global shuffle where patches can be read by region."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, get_args

from voxloom._errors import VoxloomError
from voxloom.io import PreparedSource
from voxloom.loading._plan import Schedule
from voxloom.loading._shelf import MOST_SUBJECTS, MOST_VOXELS
from voxloom.patches import GridSampler, LabelSampler, PatchSampler, WeightedSampler
from voxloom.subjects import INTENSITY, Image, Subject, SubjectsDataset


def choose_schedule(
    wanted: str | None,
    dataset: Any,
    subjects: Sequence[Subject | None],
    sampler: PatchSampler | GridSampler,
    *,
    keeps_order: bool,
) -> Schedule:
    """Return the schedule that is wanted, else the one that suits the data.

    Where every image can be read by region and there is no transform of whole volumes, no volume
    need be open for its patches, and all patches of an epoch are shuffled together. Headers are
    read until one image says no; what cannot be opened says nothing, and fails when its turn
    comes. The answer depends on the data set and the arguments alone.

    Parameters
    ----------
    wanted : {'spread', 'fill', 'shuffle'}, optional
        What the user asked for.
    dataset : data set
        Where the subjects come from.
    subjects : sequence of Subject or None
        Unloaded, or None where the data set does not show them.
    sampler : PatchSampler or GridSampler
        Where patches lie.
    keeps_order : bool
        Whether the user asked for an order of subjects, or of patches, that a shuffle breaks.

    Raises
    ------
    ValueError
        If there is no such schedule.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import ScalarImage, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)])
    >>> choose_schedule(None, dataset, dataset.dry_iter(), UniformSampler(4), keeps_order=False)
    'shuffle'
    """
    schedules: dict[str, Schedule] = {name: name for name in get_args(Schedule)}
    if wanted is not None:
        if wanted not in schedules:
            raise ValueError(f"the schedule is one of {list(schedules)}, got {wanted!r}")
        return schedules[wanted]
    is_plain = type(dataset).__getitem__ is SubjectsDataset.__getitem__
    if keeps_order or not is_plain or dataset.transform is not None:
        return "spread"
    indexes = isinstance(sampler, LabelSampler | WeightedSampler)
    return "shuffle" if _cost_what_they_hold(subjects, indexes=indexes) else "spread"


def _cost_what_they_hold(subjects: Sequence[Subject | None], *, indexes: bool) -> bool:
    """Tell whether a patch of any of them costs what it holds, the index of its map included.

    An index that is not stored is made by reading the whole map: once, where workers can keep
    all of them, and else again and again.
    """
    voxels, is_stored = 0, True
    for subject in subjects:
        if subject is None:
            return False
        for image in subject.get_images(intensity_only=False):
            facts = _facts(image)
            if facts is None:
                continue
            reads_regions, has_index, count = facts
            if not reads_regions:
                return False
            if image.type != INTENSITY:
                voxels, is_stored = voxels + count, is_stored and has_index
    return not indexes or is_stored or (len(subjects) <= MOST_SUBJECTS and voxels <= MOST_VOXELS)


def _facts(image: Image) -> tuple[bool, bool, int] | None:
    try:
        source = image.source
    except (VoxloomError, OSError):
        return None
    has_index = isinstance(source, PreparedSource) and source.index is not None
    return image.is_loaded or source.reads_regions, has_index, math.prod(source.spatial_shape)
