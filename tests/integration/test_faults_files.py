"""Files that are damaged, missing, slow or gone, and memory that runs out, in real workers."""

from __future__ import annotations

import itertools
import os
import re
import time
from pathlib import Path
from typing import Any

import faulty
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import PatchError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
    pytest.mark.usefixtures("nothing_is_left"),
]
BAD = 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for subject in faulty.make_subjects(6, size=16):
        subject.t1.save(tmp_path / f"{subject.number}.nii.gz")
    return tmp_path


def make(folder: Path, **options: Any) -> Queue:
    ending = options.pop("ending", ".nii.gz")
    paths = [folder / f"{number}{ending}" for number in range(6)]
    reader = options.pop("reader", None)
    images = [ScalarImage(path, verify_path=False, reader=reader) for path in paths]
    subjects = [Subject(t1=image, number=n) for n, image in enumerate(images)]
    transform = options.pop("transform", None)
    return Queue(SubjectsDataset(subjects, transform), 6, 4, UniformSampler(4), 2, seed=3,
                 **options)  # fmt: skip


def damage(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize(("fault", "kind"), [(damage, OSError), (Path.unlink, FileNotFoundError)])
def test_a_bad_file_is_named_within_seconds_with_all_that_finds_it(
    folder: Path, fault: Any, kind: type[Exception]
) -> None:
    fault(folder / f"{BAD}.nii.gz")
    with make(folder) as queue:
        place = queue.plan(0).subjects.tolist().index(BAD)
        message = (
            rf"subject {BAD}, .*{BAD}\.nii\.gz.*\(epoch 0, plan index {place}\) failed in stage"
        )
        start = time.monotonic()
        with pytest.raises(PatchError, match=message) as caught:
            list(queue)
        assert time.monotonic() - start < 10
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize("fault", [damage, Path.unlink])
def test_a_bad_file_is_replaced_in_the_same_way_each_time(folder: Path, fault: Any) -> None:
    fault(folder / f"{BAD}.nii.gz")
    given = []
    for workers in ("processes", "threads"):
        with make(folder, on_error="replace", executor=workers) as queue:
            given.append([(patch.number, patch.location.tolist()) for patch in queue])
    assert len(given[0]) == 24
    assert given[0] == given[1]
    assert BAD not in {number for number, _ in given[0]}


def test_a_folder_that_comes_back_is_read_again(folder: Path) -> None:
    path = folder / f"{BAD}.nii.gz"
    with make(folder) as queue:
        expected = [patch.location.tolist() for patch in queue]
    path.rename(folder / "away")
    transform = faulty.ComeBack(folder / "away", path)
    with make(folder, transform=transform, on_error="retry", retries=500) as queue:
        assert [patch.location.tolist() for patch in queue] == expected


@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
@pytest.mark.parametrize("on_error", ["raise", "retry", "replace"])
def test_a_folder_that_vanishes_and_stays_away_is_an_error_within_seconds(
    tmp_path: Path, ending: str, on_error: Any
) -> None:
    """Volumes are decoded whole in one case, and mapped and read by region in the other."""
    folder = tmp_path / "share"
    folder.mkdir()
    for subject in faulty.make_subjects(6, size=16):
        subject.t1.save(folder / f"{subject.number}{ending}")
    failed = r"subject \d, .*share/\d\.nii.* \(epoch \d, plan index \d+\) failed in stage "
    stage = rf"'{'read' if ending == '.nii.gz' else 'crop'}': .*check the path, and that the disk"
    with make(folder, ending=ending, on_error=on_error, executor="processes") as queue:
        patches = (patch for _ in range(3) for patch in queue)
        assert len(list(itertools.islice(patches, 3))) == 3
        folder.rename(tmp_path / "away")
        start = time.monotonic()
        with pytest.raises(PatchError, match=failed + stage) as caught:
            list(patches)
        assert time.monotonic() - start < 10
    assert ("max_replaced=1" in str(caught.value)) == (on_error == "replace")


def test_a_file_that_never_answers_is_a_hang_in_stage_read(folder: Path) -> None:
    path = folder / f"{BAD}.nii.gz"
    with make(folder, start_background=False, timeout=1) as queue:
        path.unlink()
        os.mkfifo(path)  # opening it waits for a writer, as a lost network folder waits
        with pytest.raises(PatchError, match=rf"subject {BAD}, .* hangs in stage 'read'"):
            list(queue)


def test_slow_files_are_no_hang_and_the_advice_names_reading(folder: Path) -> None:
    with make(folder, reader=faulty.Slow(0.8), timeout=1.5) as queue:
        start = time.monotonic()
        assert sum(len(batch["number"]) for batch in queue.batches(2)) == 24
        assert time.monotonic() - start > 1.5
        stats = queue.stats()
        assert stats.seconds["read"] > 4
        assert re.search(r"'read' takes (9\d|100)% .* faster or local disk", queue.advice())


@pytest.mark.parametrize(
    ("fault", "what", "kind"),
    [
        (faulty.FailOn(BAD), "failed in stage 'transform': LookupError: number 2", LookupError),
        (faulty.RunOutOfMemory(BAD), "failed in stage 'transform': MemoryError", MemoryError),
        (faulty.KillOn(BAD), "ended 2 workers, the last one in stage 'transform'", PatchError),
        (faulty.HangOn(BAD), "hangs in stage 'transform'", PatchError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, faulty.FailOn) else "",
)
@pytest.mark.parametrize("on_error", ["raise", "retry"])
def test_a_bad_transform_is_named_within_seconds_with_all_that_finds_it(
    folder: Path, fault: Any, what: str, kind: type[Exception], on_error: str
) -> None:
    with make(folder, transform=fault, timeout=1, on_error=on_error) as queue:
        place = queue.plan(0).subjects.tolist().index(BAD)
        message = rf"subject {BAD}, .*/{BAD}\.nii\.gz.* \(epoch 0, plan index {place}\) {what}"
        start = time.monotonic()
        with pytest.raises(PatchError, match=message) as caught:
            list(queue)
        assert time.monotonic() - start < 10
    assert isinstance(caught.value, kind)


@pytest.mark.parametrize("on_error", ["raise", "retry"])
def test_a_bad_patch_transform_is_named_with_all_that_finds_it(folder: Path, on_error: str) -> None:
    fault = faulty.FailOnPatch()
    with make(folder, patch_transform=fault, on_error=on_error, start_method="forkserver") as queue:
        message = (
            r"subject (\d), .*/\1\.nii\.gz.* \(epoch 0, plan index \d+\) failed in stage "
            r"'patch transform': LookupError: a patch of eleven"
        )
        with pytest.raises(PatchError, match=message):
            list(queue)
