"""Transforms that worker processes import: a transform is sent to them by its name."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

from voxloom import LabelMap, ScalarImage, Subject


class CannotTravelError(Exception):
    """An error that pickle can pack but not unpack, as many of other libraries."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")


def draw_from_every_generator(subject: Subject) -> Subject:
    import torch

    drawn = (random.random(), float(np.random.rand()), float(torch.rand(1)))  # noqa: NPY002
    noise = np.random.standard_normal(subject.t1.shape)  # noqa: NPY002
    voxels = subject.t1.array + noise.astype(np.float32)
    return subject.replace(t1=subject.t1.with_data(voxels), drawn=str(drawn))


def draw_from_given(subject: Subject, rng: np.random.Generator) -> Subject:
    return subject.replace(drawn=int(rng.integers(2**40)))


def double_in_place(subject: Subject) -> Subject:
    subject.t1.data.mul_(2)  # the first to need torch, in a worker
    return subject


def add_and_replace(subject: Subject) -> Subject:
    voxels = subject.t1.array
    return subject.replace(
        t1=subject.t1.with_data((voxels * 2).astype(np.float64)),
        mask=LabelMap(tensor=(voxels > 0).astype(np.uint8), affine=subject.t1.affine),
        note="added",
    )


def fail(subject: Subject) -> Subject:
    if subject.number == 2:
        raise LookupError("no such thing")
    return subject


def fail_beyond_pickle(subject: Subject) -> Subject:
    if subject.number == 2:
        raise CannotTravelError(7, "words")
    return subject


def add_what_pickle_refuses(subject: Subject) -> Subject:
    return subject.replace(secret=(lambda: 1)) if subject.number == 2 else subject


def return_nothing(subject: Subject) -> Any:
    return None


class FailOnce:
    """Raises at one subject while a file is not there."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __call__(self, subject: Subject) -> Subject:
        if subject.number == 2 and not self.mark.exists():
            self.mark.touch()
            raise LookupError("not yet")
        return subject


class EndWorker:
    """Kills its process at one subject, as often as it is allowed to."""

    def __init__(self, mark: Path, times: int) -> None:
        self.mark, self.times = mark, times

    def __call__(self, subject: Subject) -> Subject:
        done = self.mark.stat().st_size if self.mark.exists() else 0
        if subject.number == 2 and done < self.times:
            with self.mark.open("ab") as file:
                file.write(b"x")
            os.kill(os.getpid(), signal.SIGKILL)
        return subject


def wait_a_little(subject: Subject) -> Subject:
    time.sleep(0.01)
    return subject


def make_subjects(count: int, side: int = 8, **more: Any) -> list[Subject]:
    """Return subjects whose voxels say whose they are and where they lie."""
    affine = np.diag([1.5, 2.0, 0.7, 1.0])
    affine[:3, 3] = (-3.3, 10.1, 0.4)
    ramp = np.arange(side**3, dtype=np.float32).reshape(1, side, side, side)
    return [
        Subject(
            t1=ScalarImage(tensor=ramp + 1000 * number, affine=affine),
            number=number,
            **{name: value[number] for name, value in more.items()},
        )
        for number in range(count)
    ]
