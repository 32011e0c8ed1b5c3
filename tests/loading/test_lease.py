"""Batches that stay in their slots: the same voxels, no copy, and an end that is noticed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any

import changing
import numpy as np
import pytest
import torch

from voxloom import Queue, ScalarImage, Subject
from voxloom.loading import LeasedBatch

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]
SIDE = 26  # a patch of two images takes more than 16 pages, so its slot is made of whole ones
ENDED = r"slots of this batch were given back.*until the next one.*batch\.keep\(\)"


def make_large(count: int = 5) -> list[Subject]:
    return [
        subject.replace(other=subject.t1.with_data(subject.t1.array.astype(np.int16)))
        for subject in changing.make_subjects(count, side=30)
    ]


@pytest.mark.parametrize(
    ("num_workers", "options"),
    [(0, {}), (2, {}), (2, {"executor": "threads"})],
)
@pytest.mark.parametrize(("batch_size", "max_length"), [(2, 6), (4, 6), (6, 6), (7, 3), (5, 2)])
def test_they_hold_what_other_batches_hold(
    make_queue: MakeQueue,
    sign: Sign,
    num_workers: int,
    options: dict[str, Any],
    batch_size: int,
    max_length: int,
) -> None:
    settings = {"subjects": make_large(), "patch_size": SIDE, "max_length": max_length}
    expected = sign(make_queue(**settings).batches(batch_size))
    queue = make_queue(num_workers=num_workers, **settings, **options)
    given = []
    for batch in queue.batches(batch_size, zero_copy=True):
        given += sign([dict(batch)])
        assert queue.num_patches <= max_length
    assert given == expected


@pytest.mark.skipif(sys.platform != "linux", reason="slots are mapped side by side on Linux only")
def test_their_voxels_are_those_of_the_slots(make_queue: MakeQueue) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, max_length=15, num_workers=1)
    batches = queue.batches(3, zero_copy=True)
    batch = next(batches)
    assert batch["t1"]["data"].shape == (3, 1, SIDE, SIDE, SIDE)
    assert queue._dispatcher is not None
    slots = list(batch._generations)
    memory = queue._dispatcher.memory
    for row, slot in zip(batch["t1"]["data"], slots, strict=True):
        before = memory.slot(slot)[:4].view(np.float32).item()
        assert row.flatten()[0] == before
        row.fill_(before + 1)
        assert memory.slot(slot)[:4].view(np.float32).item() == before + 1


@pytest.mark.parametrize("num_workers", [0, 1])
def test_one_that_has_ended_says_so(make_queue: MakeQueue, num_workers: int) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, num_workers=num_workers)
    batches = queue.batches(2, zero_copy=True)
    first = next(batches)
    assert isinstance(first, LeasedBatch)
    assert set(first) == {"t1", "other", "number", "index_ini", "location"}
    second = next(batches)
    for touch in (lambda: first["t1"], lambda: list(first), lambda: len(first), first.keep):
        with pytest.raises(RuntimeError, match=ENDED):
            touch()
    assert repr(first) == "LeasedBatch(ended)"
    assert second.is_valid
    batches.close()
    with pytest.raises(RuntimeError, match=ENDED):
        second["t1"]


def test_one_whose_slot_was_given_to_another_patch_says_so(make_queue: MakeQueue) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, max_length=15, num_workers=1)
    batch = next(batches := queue.batches(3, zero_copy=True))
    assert queue._dispatcher is not None
    queue._dispatcher.memory.retire(next(iter(batch._generations)))
    with pytest.raises(RuntimeError, match=ENDED):
        batch["t1"]
    batches.close()


@pytest.mark.parametrize("leave", ["close", "load_state_dict", "another loop"])
def test_they_end_when_the_loop_is_left(make_queue: MakeQueue, leave: str) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, num_workers=1)
    batch = next(queue.batches(2, zero_copy=True))
    if leave == "close":
        queue.close()
    elif leave == "load_state_dict":
        queue.load_state_dict(queue.state_dict())
    else:
        assert len(list(queue)) == 15
    with pytest.raises(RuntimeError, match=ENDED):
        batch["t1"]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_one_that_is_kept_stays_as_it_is(
    make_queue: MakeQueue, sign: Sign, num_workers: int
) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, num_workers=num_workers)
    kept, signed = [], []
    for batch in queue.batches(2, zero_copy=True):
        signed += sign([batch])
        kept.append(batch.keep())
    assert sign(kept) == signed
    queue.close()
    assert sign(kept) == signed
    assert all(type(batch) is dict for batch in kept)


def test_a_tensor_taken_out_of_one_that_ended_is_safe_to_touch(make_queue: MakeQueue) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, num_workers=1)
    taken = [batch["t1"]["data"] for batch in queue.batches(2, zero_copy=True)]
    queue.close()
    assert all(torch.isfinite(tensor).all() for tensor in taken)


def test_subjects_that_do_not_stack_are_named_and_hold_no_slot(make_queue: MakeQueue) -> None:
    odd = ScalarImage(tensor=np.zeros((2, 30, 30, 30), dtype=np.float32))
    subjects = [*changing.make_subjects(3, side=30), Subject(t1=odd, number=3)]
    queue = make_queue(subjects=subjects, patch_size=28, max_length=2, num_workers=1)
    with pytest.raises(ValueError, match=r"'t1' has shape.* one number of channels"):
        list(queue.batches(6, zero_copy=True))
    assert sorted(patch.number for patch in queue) == sorted([0, 1, 2, 3] * 3)


def test_a_device_is_refused(make_queue: MakeQueue) -> None:
    with pytest.raises(ValueError, match=r"zero_copy=True leaves .* device='cpu' moves them"):
        make_queue().batches(2, device="cpu", zero_copy=True)
