"""Threads give what processes give, and refuse what would draw from the trainer's generators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest

from voxloom import Queue, Subject, UniformSampler
from voxloom._errors import PatchError

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]


def workers() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("voxloom-worker")]


@pytest.mark.parametrize("transform", [None, changing.draw_from_given])
def test_threads_give_the_same_patches_as_no_workers(
    make_queue: MakeQueue, sign: Sign, transform: Any
) -> None:
    expected = make_queue(transform=transform)
    first, second = sign(expected), sign(expected)
    for num_workers in (1, 2, 3):
        queue = make_queue(transform=transform, num_workers=num_workers, executor="threads")
        assert (sign(queue), sign(queue)) == (first, second)


def test_the_trainers_own_draws_neither_change_nor_are_changed(
    make_queue: MakeQueue, sign: Sign
) -> None:
    expected = sign(make_queue(transform=changing.draw_from_given))
    np.random.seed(5)  # noqa: NPY002 - what a model may draw from
    drawn = np.random.random(60)  # noqa: NPY002
    np.random.seed(5)  # noqa: NPY002
    queue = make_queue(transform=changing.draw_from_given, num_workers=2, executor="threads")
    given, again = [], []
    for patch in queue:
        again += np.random.random(4).tolist()  # noqa: NPY002
        given += sign([patch])
    assert given == expected
    assert again == drawn[: len(again)].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"transform": changing.draw_from_every_generator},
            r"the transform of the data set takes its generator as the argument rng",
        ),
        (
            {"patch_transform": changing.double_in_place},
            r"the patch_transform takes its generator as the argument rng",
        ),
    ],
)
def test_what_may_draw_from_the_global_generators_is_refused(
    make_queue: MakeQueue, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RuntimeError, match=message):
        make_queue(num_workers=2, executor="threads", **options)


def test_a_data_set_of_another_kind_is_refused() -> None:
    class Other:
        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Subject:
            return changing.make_subjects(2)[index]

    with pytest.raises(RuntimeError, match=r"takes a SubjectsDataset, got Other"):
        Queue(Other(), 4, 2, UniformSampler(4), 2, executor="threads")


def fail(subject: Subject, rng: np.random.Generator) -> Subject:
    raise LookupError("no such thing")


def leave(subject: Subject, rng: np.random.Generator) -> Subject:
    raise SystemExit(3)


@pytest.mark.parametrize(("transform", "cause"), [(fail, "LookupError"), (leave, "SystemExit")])
def test_what_a_thread_raises_comes_up_in_the_trainer(
    make_queue: MakeQueue, transform: Any, cause: str
) -> None:
    queue = make_queue(transform=transform, num_workers=2, executor="threads")
    with pytest.raises(PatchError, match=f"'transform': {cause}"):
        list(queue)


def test_a_thread_that_hangs_is_an_error_with_its_stack(make_queue: MakeQueue) -> None:
    go_on = threading.Event()

    def wait(subject: Subject, rng: np.random.Generator) -> Subject:
        go_on.wait(30)
        return subject

    queue = make_queue(transform=wait, num_workers=2, executor="threads", timeout=0.2)
    with pytest.raises(PatchError, match="hangs in stage 'transform'") as caught:
        list(queue)
    assert any("go_on.wait" in note for note in caught.value.__notes__)
    go_on.set()


def test_of_the_jobs_of_a_thread_the_one_that_hangs_is_named(make_queue: MakeQueue) -> None:
    go_on = threading.Event()

    def wait(subject: Subject, rng: np.random.Generator) -> Subject:
        if subject["number"] == 3:
            go_on.wait(30)
        return subject

    queue = make_queue(
        8, max_length=16, transform=wait, num_workers=1, executor="threads", timeout=0.5
    )
    with pytest.raises(PatchError, match=r"^subject 3\b.* hangs in stage 'transform'"):
        list(queue)
    go_on.set()


def test_closing_ends_the_threads_and_leaves_no_descriptor(make_queue: MakeQueue) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    queue = make_queue(num_workers=3, executor="threads")
    next(iter(queue))
    assert len(workers()) == 3
    queue.close()
    queue.close()
    assert workers() == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before
