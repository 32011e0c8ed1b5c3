"""Defects of TorchIO in its queue: exact epochs, refills, loaders and grids."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, product
from typing import Any

from torch.utils.data import DataLoader, DistributedSampler

from measure.changing import (
    Count,
    length_of,
    numbers_of,
    patches_of,
    place_of,
    small_queue,
    subjects_of,
)
from measure.defect import Defect, kind_of, refusal_of


def patches_of_a_short_queue(library: Any) -> list[int]:
    """Count the patches of an epoch where the queue is shorter than what a subject gives."""
    return [length_of(small_queue(library, 3, 3, max_length)) for max_length in (1, 2)]


def inexact_epochs(library: Any) -> tuple[int, int]:
    """Return in how many small queues an epoch was not exact, of how many."""
    asked = [
        (count, samples, max_length)
        for count, samples, max_length in product((1, 2, 3, 5), (1, 2, 3, 5, 7), (3, 5, 8, 40))
        if max_length >= samples
    ]
    wrong = sum(not _epochs_are_exact(library, *sizes) for sizes in asked)
    return wrong, len(asked)


def distributed_epochs(library: Any) -> tuple[int, int]:
    """Return in how many epochs other subjects came than a DistributedSampler gives for it."""
    wrong = total = 0
    for max_length in (3, 4, 5, 6, 7, 8):
        subjects = subjects_of(library, 9)
        sampler, twin = (DistributedSampler(subjects, 3, 0, seed=1) for _ in range(2))
        options = {"shuffle_subjects": False, "subject_sampler": sampler}
        queue = small_queue(library, subjects, 3, max_length, **options)
        for epoch in range(4):
            sampler.set_epoch(epoch)
            twin.set_epoch(epoch)
            wrong += set(numbers_of(queue)) != set(twin)
            total += 1
    return wrong, total


def most_loads_before_a_batch(library: Any) -> int:
    """Return how many volumes are loaded, at most, while a trainer waits for one batch."""
    count = Count()
    queue = small_queue(library, 24, 8, 64, transform=count)
    loads = [count.value for _ in DataLoader(queue, batch_size=4)]
    return max(later - earlier for earlier, later in pairwise(loads))


def outer_workers(library: Any) -> Any:
    """Return how often each subject came with a loader that has workers, or the error."""
    queue = small_queue(library, 6, 4, 8)
    counts: Counter[int] = Counter()
    loader = DataLoader(queue, batch_size=None, num_workers=2)
    error = refusal_of(lambda: counts.update(int(patch["number"]) for patch in loader))
    return counts if error is None or counts else error


def grid_in_a_queue(library: Any) -> int:
    """Count the places of two grids that a queue gave once."""
    subjects = subjects_of(library, 2)
    grid = library.GridSampler(subjects[0], 4)
    queue = library.Queue(library.SubjectsDataset(subjects), 12, len(grid), grid)
    places = Counter((int(patch["number"]), place_of(patch)) for patch in patches_of(queue))
    return sum(times == 1 for times in places.values())


def _epochs_are_exact(library: Any, count: int, samples: int, max_length: int) -> bool:
    queue = small_queue(library, count, samples, max_length)
    expected = dict.fromkeys(range(count), samples)
    return all(Counter(numbers_of(queue)) == expected for _ in range(3))


def _is_exact_or_refused(found: Any) -> bool:
    return isinstance(found, RuntimeError) or found == dict.fromkeys(range(6), 4)


def _of(what: str) -> Any:
    return lambda counts: f"{counts[0]} of {counts[1]} {what}"


DEFECTS = (
    Defect(
        "torchio",
        "a queue shorter than what a subject gives works",
        patches_of_a_short_queue,
        lambda lengths: lengths == [9, 9],
        lambda lengths: f"{lengths} patches of 9",
    ),
    Defect(
        "torchio",
        "epochs are exact: each subject as often as asked",
        inexact_epochs,
        lambda counts: not counts[0],
        _of("small queues are not"),
    ),
    Defect(
        "torchio",
        "an epoch visits what its DistributedSampler gives for it",
        distributed_epochs,
        lambda counts: not counts[0],
        _of("epochs visited others"),
    ),
    Defect(
        "torchio",
        "a trainer waits for 2 volumes at most between batches, not for a refill",
        most_loads_before_a_batch,
        lambda loads: loads <= 2,
        lambda loads: f"up to {loads} volumes",
    ),
    Defect(
        "torchio",
        "a loader with workers over the queue keeps the counts or is refused",
        outer_workers,
        _is_exact_or_refused,
        lambda found: kind_of(found) if isinstance(found, Exception) else str(dict(found)),
    ),
    Defect(
        "torchio",
        "a grid in a queue gives each of 8 places of 2 subjects once",
        grid_in_a_queue,
        lambda places: places == 16,
        lambda places: f"{places} of 16 places",
    ),
)
