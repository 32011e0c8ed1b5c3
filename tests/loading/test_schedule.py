"""The schedule follows from the data set and the arguments, and a shuffle is read by region."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changing import double_in_place, make_subjects

from voxloom import LabelMap, LabelSampler, Queue, ScalarImage, Subject, SubjectsDataset
from voxloom.io import write_nifti
from voxloom.loading import _schedule, _shelf
from voxloom.patches import GridSampler, UniformSampler
from voxloom.prepared import prepare
from voxloom.testing import assert_resumes_anywhere

Sign = Callable[[Iterable[Any]], list[str]]
pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little


def write_subjects(folder: Path, suffixes: str, count: int = 5) -> list[Subject]:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    subjects = []
    for number in range(count):
        suffix = suffixes.split()[number % len(suffixes.split())]
        voxels = rng.integers(0, 900, (14, 13, 12), np.int16)
        image = write_nifti(folder / f"{number}-t1{suffix}", voxels)
        labels = write_nifti(folder / f"{number}-seg{suffix}", (voxels % 3).astype(np.uint8))
        subject = Subject(t1=ScalarImage(image), seg=LabelMap(labels), number=number)
        subjects.append(subject)
    return subjects


def make_queue(subjects: Any, transform: Any = None, **options: Any) -> Queue:
    dataset = subjects if isinstance(subjects, SubjectsDataset) else SubjectsDataset(subjects)
    dataset.set_transform(transform)
    given = {"max_length": 6, "samples_per_volume": 4, "sampler": UniformSampler(5), "seed": 3}
    return Queue(dataset, **{**given, **options})


def schedule_of(queue: Queue) -> str:
    with queue:
        return str(queue.state_dict()["plan"]["schedule"])


@pytest.mark.parametrize(
    ("suffixes", "expected"),
    [(".nii", "shuffle"), (".nii.gz", "spread"), (".nii .nii.gz", "spread")],
)
def test_files_that_are_read_by_region_are_shuffled(
    tmp_path: Path, suffixes: str, expected: str
) -> None:
    assert schedule_of(make_queue(write_subjects(tmp_path, suffixes))) == expected


def test_a_prepared_store_and_volumes_in_memory_are_shuffled(tmp_path: Path) -> None:
    subjects = write_subjects(tmp_path, ".nii.gz", 2)
    store = prepare(SubjectsDataset(subjects), tmp_path / "store")
    assert schedule_of(make_queue(store)) == "shuffle"
    assert schedule_of(make_queue(make_subjects(3))) == "shuffle"
    assert schedule_of(make_queue(make_subjects(3), sampler=GridSampler(None, 4))) == "shuffle"


class Shown(SubjectsDataset):
    """A data set that does something of its own with each subject."""

    def __getitem__(self, index: Any) -> Subject:
        return super().__getitem__(index)


def test_what_needs_whole_volumes_or_an_order_is_spread() -> None:
    subjects = make_subjects(3)
    for options in (
        {"transform": double_in_place},
        {"shuffle_subjects": False},
        {"shuffle_patches": False},
        {"shuffle_subjects": False, "subject_sampler": [2, 0, 1]},
        {"subjects": Shown(subjects)},
    ):
        assert schedule_of(make_queue(**{"subjects": subjects, **options})) == "spread"
    weighted = {"shuffle_subjects": False, "subject_weights": [1, 2, 3]}
    assert schedule_of(make_queue(subjects, **weighted)) == "shuffle"


@pytest.mark.parametrize("schedule", ["spread", "fill", "shuffle"])
def test_the_user_may_choose(schedule: str) -> None:
    queue = make_queue(make_subjects(3), double_in_place, schedule=schedule)
    assert schedule_of(queue) == schedule


def test_there_is_no_other_schedule() -> None:
    with pytest.raises(ValueError, match=r"one of \['spread', 'fill', 'shuffle'\], got 'random'"):
        make_queue(make_subjects(3), schedule="random")


def test_maps_without_a_stored_index_are_shuffled_where_all_can_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = write_subjects(tmp_path, ".nii", 3)
    store = prepare(SubjectsDataset(subjects), tmp_path / "store")
    sampler = LabelSampler(5, "seg", {1: 1, 2: 1})
    assert schedule_of(make_queue(subjects, sampler=sampler)) == "shuffle"
    monkeypatch.setattr(_schedule, "MOST_VOXELS", 3 * 14 * 13 * 12 - 1)
    assert schedule_of(make_queue(subjects, sampler=sampler)) == "spread"
    assert schedule_of(make_queue(store, sampler=sampler)) == "shuffle"
    assert schedule_of(make_queue(subjects)) == "shuffle"


def test_a_file_that_cannot_be_opened_does_not_decide(tmp_path: Path) -> None:
    subjects = write_subjects(tmp_path, ".nii", 3)
    Path(str(subjects[1].t1.path)).write_bytes(b"damaged")
    queue = make_queue(subjects, on_error="replace", max_replaced=1)
    assert schedule_of(queue) == "shuffle"


@pytest.fixture(params=["prepared nifti", "prepared zarr", ".nii"])
def by_region(request: pytest.FixtureRequest, tmp_path: Path) -> SubjectsDataset:
    dataset = SubjectsDataset(write_subjects(tmp_path, ".nii"))
    if request.param == ".nii":
        return dataset
    if request.param.endswith("zarr"):
        pytest.importorskip("numcodecs")
    return prepare(dataset, tmp_path / "store", layout=request.param.split()[1])


def test_epochs_are_exact_bounded_and_the_same_for_all_workers(
    by_region: SubjectsDataset, sign: Sign
) -> None:
    passes = {}
    options = {"sampler": LabelSampler(5, "seg", {1: 1, 2: 3}), "max_length": 5}
    for workers, executor in [(0, "inline"), (1, "processes"), (3, "threads")]:
        with make_queue(by_region, num_workers=workers, executor=executor, **options) as queue:
            taken = []
            for epoch in range(2):
                for batch in queue.batches(3):
                    assert queue.num_patches <= 5
                    taken.append(batch)
                counts = Counter(n for b in taken[-7:] for n in b["number"].tolist())
                assert counts == dict.fromkeys(range(5), 4), epoch
            passes[workers] = sign(taken)
            planned = [n for epoch in range(2) for n in queue.plan(epoch).subjects.tolist()]
        assert [n for batch in taken for n in batch["number"].tolist()] == planned
    assert passes[0] == passes[1] == passes[3]


def test_a_patch_of_a_shuffle_is_that_of_a_spread(tmp_path: Path, sign: Sign) -> None:
    store = prepare(SubjectsDataset(write_subjects(tmp_path, ".nii")), tmp_path / "store")
    found = []
    for schedule in ("shuffle", "spread"):
        with make_queue(store, schedule=schedule, sampler=LabelSampler(5)) as queue:
            found.append(sign(queue))
    assert found[0] != found[1]
    assert sorted(found[0]) == sorted(found[1])


def test_a_shuffle_resumes_after_every_patch_with_other_workers(tmp_path: Path) -> None:
    store = prepare(SubjectsDataset(write_subjects(tmp_path, ".nii", 3)), tmp_path / "store")
    options = {"sampler": LabelSampler(5), "samples_per_volume": 2}
    assert_resumes_anywhere(lambda: make_queue(store, **options), epochs=2)
    assert_resumes_anywhere(
        lambda: make_queue(store, **options),
        lambda: make_queue(store, num_workers=1, **options),
        epochs=1,
        every=3,
    )


def test_workers_open_each_subject_once_and_no_volume_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = prepare(SubjectsDataset(write_subjects(tmp_path, ".nii")), tmp_path / "store")
    with make_queue(store, sampler=LabelSampler(5)) as queue:
        assert queue.memory().volumes == 0
        assert sum(1 for _ in range(4) for _ in queue) == 4 * 20
        assert queue.stats().total.loads == 5
        assert not any(subject.t1.is_loaded for subject in store.dry_iter())
    monkeypatch.setattr(_shelf, "MOST_SUBJECTS", 2)
    with make_queue(store, sampler=LabelSampler(5)) as queue:
        assert sum(1 for _ in queue) == 20
        assert 5 < queue.stats().total.loads <= 20


def test_a_subject_that_fails_is_replaced_in_all_its_patches(tmp_path: Path) -> None:
    subjects = write_subjects(tmp_path, ".nii")
    Path(str(subjects[1].t1.path)).write_bytes(b"damaged")
    options = {"on_error": "replace", "max_replaced": 1, "retries": 0}
    found = []
    for workers in (0, 2):
        with make_queue(subjects, num_workers=workers, **options) as queue:
            assert schedule_of(queue) == "shuffle"
        with make_queue(subjects, num_workers=workers, **options) as queue:
            found.append([int(patch.number) for patch in queue])
            assert [entry[1] for entry in queue.state_dict()["replaced"]] == [1]
    counts = sorted(Counter(found[0]).values())
    assert counts == [4, 4, 4, 8]
    assert found[0] == found[1]
