"""Who works when nobody said: what the work is decides, and the order never changes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest

from voxloom import PatchSampler, Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.loading import _choice

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little

Sign = Callable[[Iterable[Any]], list[str]]
Make = Callable[..., Queue]


class Corner(PatchSampler):
    def locate(self, subject: Subject, rng: np.random.Generator) -> tuple[int, int, int]:
        return (0, 0, 0)


class Others(SubjectsDataset):
    def __getitem__(self, index: int) -> Subject:
        return super().__getitem__(index)


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    made: list[Queue] = []
    monkeypatch.setattr(_choice, "_LEAST_SENT_BYTES", 0)  # small voxels count as many

    def make_queue(subjects: Any = None, sampler: Any = None, kind: Any = SubjectsDataset,
                   transform: Any = None, **options: Any) -> Queue:  # fmt: skip
        dataset = kind(subjects or changing.make_subjects(3), transform)
        settings = {"num_workers": 1, "seed": 7, **options}
        made.append(Queue(dataset, 6, 2, sampler or UniformSampler(4), **settings))
        return made[-1]

    yield make_queue
    for queue in made:
        queue.close()


@pytest.fixture
def shares(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Stand in for the clock: the share that the probe finds is the last of this list."""
    found = [0.0]

    def probe(work: Callable[[], object]) -> float:
        work()
        return found[-1]

    monkeypatch.setattr(_choice, "lock_share", probe)
    return found


def save(folder: Path, suffix: str) -> list[Subject]:
    subjects = []
    for subject in changing.make_subjects(3):
        path = folder / f"{subject.number}{suffix}"
        subject.t1.save(path)
        subjects.append(Subject(t1=ScalarImage(path)))
    return subjects


@pytest.mark.parametrize(
    ("share", "executor"), [(0.0, "threads"), (0.25, "threads"), (0.26, "processes (spawn)")]
)
def test_voxels_in_memory_are_cut_in_threads_unless_they_hold_the_lock(
    make: Make, shares: list[float], share: float, executor: str
) -> None:
    shares.append(share)
    stats = make().stats()
    assert stats.executor == executor
    assert stats.reason == f"a patch holds the interpreter's lock for {share:.0%} of its time"
    assert f"executor: {executor}, {stats.reason}\n" in str(stats)


def test_few_voxels_in_memory_are_sent_to_processes(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_choice, "lock_share", None)
    [subject, *_] = changing.make_subjects(3)
    monkeypatch.setattr(_choice, "_LEAST_SENT_BYTES", 3 * subject.t1.array.nbytes + 1)
    stats = make().stats()
    assert (stats.executor, stats.reason) == ("processes (spawn)", "few voxels are in memory")


def read_it(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((1, 8, 8, 8), dtype=np.float32), np.eye(4)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": Others}, "the data set is not ours"),
        ({"transform": changing.draw_from_given}, "transforms are code of yours"),
        ({"patch_transform": changing.double_in_place}, "transforms are code of yours"),
        ({"sampler": Corner(4)}, "the sampler is code of yours"),
    ],
    ids=["data set", "transform", "patch transform", "sampler"],
)
def test_code_of_the_user_runs_in_processes_and_not_in_a_probe(
    make: Make, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], reason: str
) -> None:
    monkeypatch.setattr(_choice, "lock_share", None)
    stats = make(start_background=False, **options).stats()
    assert (stats.executor, stats.reason) == ("processes (spawn)", "")  # nothing was looked at yet
    stats = make(**options).stats()
    assert (stats.executor, stats.reason) == ("processes (spawn)", reason)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_files_are_left_to_processes(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    monkeypatch.setattr(_choice, "lock_share", None)
    assert make(save(tmp_path, suffix)).stats().reason == "voxels are read from files"
    own = [Subject(t1=ScalarImage(tmp_path / f"0{suffix}", reader=read_it))]
    assert make(own).stats().executor == "processes (spawn)"


def test_a_python_without_a_global_lock_is_not_probed(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(_choice, "lock_share", None)
    monkeypatch.setattr(_choice, "lock_is_global", lambda: False)
    stats = make(save(tmp_path, ".nii.gz")).stats()
    assert (stats.executor, stats.reason) == ("threads", "this Python has no global lock")


def test_a_patch_that_cannot_be_made_is_named_in_its_turn(make: Make) -> None:
    queue = make(sampler=UniformSampler(400), start_background=False)
    with pytest.raises(RuntimeError, match=r"plan index 0"):
        list(queue)
    assert queue.stats().reason == "the first patch could not be made"


def test_what_is_asked_for_is_not_looked_at(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_choice, "lock_share", None)
    assert make(num_workers=0).stats().reason == "num_workers=0"
    stats = make(executor="processes").stats()
    assert (stats.executor, stats.reason) == ("processes (spawn)", "asked for")


def test_the_order_does_not_depend_on_who_works(
    make: Make, shares: list[float], sign: Sign
) -> None:
    expected = sign(make(num_workers=0))
    for share in (0.0, 1.0):
        shares.append(share)
        assert sign(make(num_workers=2)) == expected
