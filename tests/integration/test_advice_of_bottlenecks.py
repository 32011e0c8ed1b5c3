"""What is slow in real workers, or beside them, is what the advice names; a short run suffices."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faulty
import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler

pytestmark = pytest.mark.filterwarnings("ignore:.*samples_per_volume")


def advice(
    dataset: SubjectsDataset, step_s: float = 0.0, batch_size: int = 4, **options: Any
) -> str:
    """Train for an epoch of 64 patches, with workers that start when they are asked."""
    options = {"max_length": 16, "schedule": "spread", "executor": "processes", **options}
    options.setdefault("num_workers", 2)
    with Queue(
        dataset, samples_per_volume=4, sampler=UniformSampler(4), seed=3,
        start_background=False, **options,
    ) as queue:  # fmt: skip
        for _ in queue.batches(batch_size):
            time.sleep(step_s)
        return queue.advice()


def in_memory(transform: Any = None) -> SubjectsDataset:
    return SubjectsDataset(faulty.make_subjects(16), transform)


def on_disk(folder: Path, reader: Any) -> SubjectsDataset:
    subjects = faulty.make_subjects(16)
    for number, subject in enumerate(subjects):
        subject.t1.save(folder / f"{number}.nii.gz")
    images = [ScalarImage(folder / f"{number}.nii.gz", reader=reader) for number in range(16)]
    return SubjectsDataset([Subject(t1=image) for image in images])


@pytest.mark.parametrize(
    ("stage", "plant"),
    [
        ("read", lambda folder: advice(on_disk(folder, faulty.Slow(0.05)))),
        ("transform", lambda _: advice(in_memory(faulty.Pause(0.05)))),
        ("patch transform", lambda _: advice(in_memory(), patch_transform=faulty.Pause(0.02))),
    ],
)
def test_a_slow_stage_of_the_workers_is_named(
    tmp_path: Path, stage: str, plant: Callable[[Path], str]
) -> None:
    assert re.search(rf"workers are the bottleneck.* '{stage}' takes (\d\d|100)%", plant(tmp_path))


def test_packed_files_that_take_long_to_unpack_are_named(tmp_path: Path) -> None:
    """One worker: more would wait for their tiny patches to be shipped."""
    voxels = np.random.default_rng(0).integers(0, 4000, (1, 256, 256, 64), dtype=np.int16)
    path = tmp_path / "t1.nii.gz"
    ScalarImage(tensor=voxels).save(path)
    dataset = SubjectsDataset([Subject(t1=ScalarImage(path)) for _ in range(16)])
    assert re.search(
        r"workers are the bottleneck.* 'decode' takes (\d\d|100)%", advice(dataset, num_workers=1)
    )


def test_a_slow_trainer_is_named() -> None:
    assert "The trainer is the bottleneck" in advice(in_memory(), step_s=0.2)


def test_a_queue_that_is_too_short_for_the_batch_is_named() -> None:
    """While the trainer works on 8 patches only 2 can be made ahead, though time is left."""
    slow: dict[str, Any] = {"patch_transform": faulty.Pause(0.02), "step_s": 0.2}
    assert "larger max_length than 2." in advice(in_memory(), max_length=2, batch_size=8, **slow)
