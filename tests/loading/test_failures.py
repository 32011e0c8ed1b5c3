"""Whatever goes wrong in a worker comes up in the trainer, at its place, with its name."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject
from voxloom._errors import PatchError

MakeQueue = Callable[..., Queue]

both = pytest.mark.parametrize("num_workers", [0, 2])


def read_until_error(queue: Queue) -> tuple[list[int], BaseException]:
    numbers: list[int] = []
    try:
        for patch in queue:
            numbers.append(patch.number)  # noqa: PERF401 - what came before the error counts
    except PatchError as error:
        return numbers, error
    raise AssertionError("no error came up")


@both
def test_an_error_names_everything_and_keeps_its_type(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(transform=changing.fail, num_workers=num_workers)
    place = queue.plan(0).subjects.tolist().index(2)
    message = rf"subject 2, .*\(epoch 0, plan index {place}\).* 'transform'.*LookupError: no such"
    with pytest.raises(LookupError, match=message) as caught:
        list(queue)
    assert isinstance(caught.value, PatchError)
    assert isinstance(caught.value.__cause__, LookupError)
    assert any("raise LookupError" in note for note in caught.value.__notes__)


@both
def test_an_error_comes_when_its_patch_is_due_and_not_before(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(transform=changing.fail, num_workers=num_workers)
    subjects = queue.plan(0).subjects.tolist()
    place = subjects.index(2)
    numbers, _ = read_until_error(queue)
    assert numbers == subjects[:place]
    assert queue.state_dict()["delivered"] == place


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batches_before_the_error_are_all_given(make_queue: MakeQueue, batch_size: int) -> None:
    for num_workers in (0, 2):
        queue = make_queue(transform=changing.fail, num_workers=num_workers)
        place = queue.plan(0).subjects.tolist().index(2)
        batches = queue.batches(batch_size)
        given = sum(len(next(batches)["number"]) for _ in range(place // batch_size))
        with pytest.raises(LookupError, match="no such thing"):
            next(batches)
        assert given == queue.state_dict()["delivered"]


@both
def test_after_an_error_the_next_loop_is_the_next_epoch(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(transform=changing.fail, num_workers=num_workers)
    for epoch in range(3):
        subjects = queue.plan(epoch).subjects.tolist()
        numbers, error = read_until_error(queue)
        assert numbers == subjects[: subjects.index(2)]
        assert f"epoch {epoch}" in str(error)


@both
def test_what_failed_once_is_made_again_from_the_state(
    make_queue: MakeQueue, num_workers: int, tmp_path: Path
) -> None:
    queue = make_queue(
        transform=changing.FailOnce(tmp_path / "mark"), num_workers=num_workers, seed=1
    )
    before, _ = read_until_error(queue)
    queue.load_state_dict(queue.state_dict())
    after = [patch.number for patch in queue]
    assert before + after == queue.plan(0).subjects.tolist()


@both
@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (changing.fail_beyond_pickle, "CannotTravelError: 7: words"),
        (changing.return_nothing, r"should give a voxloom\.Subject, got NoneType"),
    ],
)
def test_every_exception_comes_up(
    make_queue: MakeQueue, num_workers: int, transform: Any, message: str
) -> None:
    queue = make_queue(transform=transform, num_workers=num_workers)
    with pytest.raises(PatchError, match=message):
        list(queue)


def test_metadata_that_cannot_be_sent_is_an_error_and_no_dead_worker(make_queue: MakeQueue) -> None:
    queue = make_queue(transform=changing.add_what_pickle_refuses, num_workers=1)
    with pytest.raises(PatchError, match=r"subject 2, .* 'ship'.*[pP]ickle"):
        list(queue)


@both
def test_an_error_of_the_sampler_is_one_of_the_queue_too(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(patch_size=9, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"in stage 'locate'.*\(9, 9, 9\)") as caught:
        list(queue)
    assert isinstance(caught.value, PatchError)


@pytest.fixture
def write_volumes(tmp_path: Path) -> Callable[[int], list[Subject]]:
    def write(count: int) -> list[Subject]:
        subjects = []
        for number in range(count):
            path = tmp_path / f"scan_{number}.nii.gz"
            ScalarImage(tensor=np.full((1, 8, 8, 8), number, dtype=np.int16)).save(path)
            subjects.append(Subject(t1=ScalarImage(path), number=number))
        return subjects

    return write


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@both
@pytest.mark.parametrize(
    ("harm", "kind"), [(cut_short, OSError), (Path.unlink, FileNotFoundError)], ids=["cut", "gone"]
)
def test_a_file_that_cannot_be_read_is_named(
    make_queue: MakeQueue,
    write_volumes: Callable[[int], list[Subject]],
    tmp_path: Path,
    num_workers: int,
    harm: Callable[[Path], None],
    kind: type[Exception],
) -> None:
    queue = make_queue(subjects=write_volumes(4), num_workers=num_workers, start_background=False)
    functools.partial(harm, tmp_path / "scan_2.nii.gz")()
    with pytest.raises(kind, match=r"subject 2, .*scan_2\.nii\.gz") as caught:
        list(queue)
    assert isinstance(caught.value, PatchError)


def test_a_worker_that_is_killed_is_replaced_and_nothing_changes(
    make_queue: MakeQueue, tmp_path: Path
) -> None:
    transform = changing.EndWorker(tmp_path / "mark", times=1)
    queue = make_queue(transform=transform, num_workers=2)
    for epoch in range(2):
        numbers = [patch.number for patch in queue]
        assert numbers == queue.plan(epoch).subjects.tolist()
    assert (tmp_path / "mark").stat().st_size == 1


def test_what_kills_every_worker_is_named_with_its_signal(
    make_queue: MakeQueue, tmp_path: Path
) -> None:
    transform = changing.EndWorker(tmp_path / "mark", times=100)
    queue = make_queue(transform=transform, num_workers=1)
    place = queue.plan(0).subjects.tolist().index(2)
    numbers, error = read_until_error(queue)
    assert len(numbers) == place
    assert re.search(rf"subject 2, .*plan index {place}\) ended .*signal SIGKILL", str(error))
    assert (tmp_path / "mark").stat().st_size >= 2


def test_a_transform_that_cannot_be_sent_says_how_to_write_it(make_queue: MakeQueue) -> None:
    with pytest.raises(RuntimeError, match=r"cannot be pickled.*not as a lambda.*num_workers=0"):
        make_queue(transform=lambda subject: subject, num_workers=1)
    assert len(list(make_queue(transform=lambda subject: subject))) == 15
