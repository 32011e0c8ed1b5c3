"""Defects of TorchIO in its queue: randomness, failures, state and worker processes."""

from __future__ import annotations

import os
import pickle
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import RandomSampler

from measure.changing import (
    FailOnce,
    NotingSampler,
    add_noise,
    length_of,
    patches_of,
    sign_of,
    small_queue,
    subjects_of,
)
from measure.defect import Defect


def transforms_by_workers(library: Any) -> int:
    """Return how many different epochs 0, 1 and 2 workers give with one seed."""
    return len({_epoch_of_noise(library, workers) for workers in (0, 1, 2)})


def patches_by_the_models_draws(library: Any) -> int:
    """Return how many different epochs one seed gives, where the model draws or does not."""
    return len({_epoch_beside_a_model(library, draws) for draws in (0, 3)})


def len_draws(library: Any) -> bool:
    subjects = subjects_of(library, 6)
    options = {"shuffle_subjects": False, "subject_sampler": RandomSampler(subjects)}
    queue = small_queue(library, subjects, 2, 4, **options)
    before = torch.get_rng_state()
    len(queue)
    return not torch.equal(before, torch.get_rng_state())


def after_an_exception(library: Any) -> dict[int, int]:
    """Count an epoch's patches by subject, where a transform failed once and the loop went on.

    voxloom's loop goes on from the state; TorchIO's queue has none, and its loop begins again.
    """
    queue = small_queue(library, 6, 2, 4, transform=FailOnce(), shuffle_subjects=False)
    numbers: list[int] = []
    for _ in range(2):
        try:
            numbers += (int(patch["number"]) for patch in patches_of(queue))
        except LookupError:
            if hasattr(queue, "state_dict"):
                queue.load_state_dict(queue.state_dict())
    return dict(sorted(Counter(numbers[:12]).items()))


def resumed(library: Any) -> bool:
    """Whether another queue goes on from the state of one that was left in its epoch."""
    torch.manual_seed(0)
    whole = [sign_of(patch) for patch in patches_of(small_queue(library, 5, 3, 6))]
    torch.manual_seed(0)
    left = small_queue(library, 5, 3, 6)
    torch.manual_seed(0)
    other = small_queue(library, 5, 3, 6)
    patches = patches_of(left)
    first = [sign_of(next(patches)) for _ in range(7)]
    other.load_state_dict(left.state_dict())
    return first + [sign_of(patch) for patch in patches_of(other)] == whole


def patches_after_pickling(library: Any) -> int:
    return length_of(pickle.loads(pickle.dumps(small_queue(library, 3, 2, 4))))


def samples_in_the_trainer(torchio: Any) -> bool:
    """Whether a queue with a worker cuts in the trainer's process."""
    processes: set[int] = set()

    class Sampler(torchio.UniformSampler):  # type: ignore[misc]
        def extract_patch(self, *arguments: Any) -> Any:
            processes.add(os.getpid())
            return super().extract_patch(*arguments)

    dataset = torchio.SubjectsDataset(subjects_of(torchio, 3))
    length_of(torchio.Queue(dataset, 4, 2, Sampler(4), num_workers=1))
    return os.getpid() in processes


def voxloom_samples_in_the_trainer(voxloom: Any) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "processes"
        dataset = voxloom.SubjectsDataset(subjects_of(voxloom, 3))
        with voxloom.Queue(dataset, 4, 2, NotingSampler(4, notes), num_workers=1) as queue:
            length_of(queue)
        return str(os.getpid()) in notes.read_text().split()


def _epoch_of_noise(library: Any, workers: int) -> tuple[Any, ...]:
    torch.manual_seed(0)
    queue = small_queue(library, 4, 2, 8, add_noise, num_workers=workers)
    signs = tuple(sign_of(patch) for patch in patches_of(queue))
    if hasattr(queue, "close"):
        queue.close()
    return signs


def _epoch_beside_a_model(library: Any, draws: int) -> tuple[Any, ...]:
    torch.manual_seed(0)
    signs = []
    for patch in patches_of(small_queue(library, 6, 2, 4)):
        torch.rand(draws)
        signs.append(sign_of(patch))
    return tuple(signs)


def _alike(epochs: int) -> str:
    return "all the same" if epochs == 1 else f"{epochs} different epochs"


DEFECTS = (
    Defect(
        "torchio",
        "one seed gives the same patches for 0, 1 and 2 workers under a random transform",
        transforms_by_workers,
        lambda epochs: epochs == 1,
        _alike,
    ),
    Defect(
        "torchio",
        "one seed gives the same patches whatever the model draws",
        patches_by_the_models_draws,
        lambda epochs: epochs == 1,
        _alike,
    ),
    Defect(
        "torchio",
        "len(queue) draws nothing",
        len_draws,
        lambda draws: not draws,
        lambda draws: "it draws" if draws else "nothing drawn",
    ),
    Defect(
        "torchio",
        "a transform that fails once costs an epoch no subject",
        after_an_exception,
        lambda counts: counts == dict.fromkeys(range(6), 2),
        lambda counts: f"patches by subject {counts}",
    ),
    Defect(
        "torchio",
        "another queue goes on from the state of one that was left",
        resumed,
        bool,
        lambda same: "the same patches follow" if same else "other patches follow",
    ),
    Defect(
        "torchio",
        "a queue goes through pickle",
        patches_after_pickling,
        lambda length: length == 6,
        lambda length: f"{length} of 6 patches",
    ),
    Defect(
        "torchio",
        "places are drawn by the queue's worker, not in the trainer's process",
        samples_in_the_trainer,
        lambda in_trainer: not in_trainer,
        lambda in_trainer: "in the trainer" if in_trainer else "in the worker",
        voxloom_samples_in_the_trainer,
    ),
)
