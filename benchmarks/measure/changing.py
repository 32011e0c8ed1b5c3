"""Small subjects and queues of either library; transforms and a sampler for its workers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from voxloom import PatchSampler, Subject

SIDE = 8


def subjects_of(library: Any, count: int) -> list[Any]:
    """Return subjects of ``SIDE`` voxels a side, whose voxels are their number."""
    return [
        library.Subject(
            t1=library.ScalarImage(tensor=torch.full((1, SIDE, SIDE, SIDE), float(number))),
            number=number,
        )
        for number in range(count)
    ]


def small_queue(
    library: Any,
    subjects: Any,
    samples: int,
    max_length: int,
    transform: Any = None,
    **options: Any,
) -> Any:
    """Return a queue over these subjects, or so many, with patches of 4 voxels a side."""
    if isinstance(subjects, int):
        subjects = subjects_of(library, subjects)
    dataset = library.SubjectsDataset(subjects, transform)
    return library.Queue(dataset, max_length, samples, library.UniformSampler(4), **options)


def patches_of(queue: Any) -> Iterator[Any]:
    """Yield the patches of one epoch, as a user of either library gets them."""
    return iter(DataLoader(queue, batch_size=None))


def length_of(queue: Any) -> int:
    """Count the patches of one epoch."""
    return sum(1 for _ in patches_of(queue))


def numbers_of(queue: Any) -> list[int]:
    """List the subjects of one epoch's patches."""
    return [int(patch["number"]) for patch in patches_of(queue)]


def place_of(patch: Any) -> tuple[int, ...]:
    """Return where a patch lies."""
    return tuple(int(voxel) for voxel in patch["location"])


def sign_of(patch: Any) -> tuple[Any, ...]:
    """Return whose a patch is, where it lies and what its voxels add up to."""
    return int(patch["number"]), place_of(patch), float(patch["t1"]["data"].sum())


def replaced(subject: Any, **items: Any) -> Any:
    """Do what a user's transform does: assign, where subjects are mutable, or replace."""
    if hasattr(subject, "replace"):
        return subject.replace(**items)
    for name, item in items.items():
        subject[name] = item
    return subject


def add_noise(subject: Any) -> Any:
    """Add noise from torch's global generator, as users write it."""
    voxels = subject["t1"]["data"] + torch.randn(1, SIDE, SIDE, SIDE)
    if hasattr(subject, "replace"):
        return subject.replace(t1=subject.t1.with_data(voxels.numpy()))
    subject["t1"].set_data(voxels)
    return subject


@dataclass(slots=True)
class Count:
    """Count the subjects that pass, in this process."""

    value: int = 0

    def __call__(self, subject: Any) -> Any:
        self.value += 1
        return subject


@dataclass(frozen=True, slots=True)
class Note:
    """Append a character to a file for each subject, in whichever process."""

    file: Path

    def __call__(self, subject: Any) -> Any:
        with self.file.open("a") as notes:
            notes.write("x")
        return subject


@dataclass(slots=True)
class FailOnce:
    """Raise at subject 2, once."""

    has_failed: bool = False

    def __call__(self, subject: Any) -> Any:
        if subject["number"] == 2 and not self.has_failed:
            self.has_failed = True
            raise LookupError("once")
        return subject


def fail_at_five(subject: Any, rng: np.random.Generator) -> Any:
    """Raise at subject 5, in a transform that threads accept: it takes its generator."""
    if subject["number"] == 5:
        raise LookupError("subject 5")
    return subject


class NotingSampler(PatchSampler):
    """A user's own sampler, which notes in a file the processes that ask it for places."""

    def __init__(self, patch_size: int, file: Path) -> None:
        super().__init__(patch_size)
        self.file = file

    def locate(self, subject: Subject, rng: np.random.Generator) -> tuple[int, int, int]:
        with self.file.open("a") as notes:
            notes.write(f"{os.getpid()} ")
        return 0, 0, int(rng.integers(4))
