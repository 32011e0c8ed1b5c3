"""Batches that own the frames their patches lie in: never copied, never written by anybody else."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest
import torch

from voxloom import Queue, ScalarImage, Subject
from voxloom.loading._slots import SlotMemory

pytestmark = [
    pytest.mark.filterwarnings("ignore:batches of"),  # small queues mix little
    pytest.mark.skipif(sys.platform != "linux", reason="frames are mapped on Linux only"),
]

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]
SIDE = 32  # a patch of float32 and one of int16 are whole pages, one of 30 voxels a side is not


def make_large(count: int = 5, side: int = SIDE) -> list[Subject]:
    return [
        subject.replace(other=subject.t1.with_data(subject.t1.array.astype(np.int16)))
        for subject in changing.make_subjects(count, side=side + 4)
    ]


def memory_of(queue: Queue) -> SlotMemory:
    assert queue._dispatcher is not None
    return queue._dispatcher.memory


def mapped_files(tensor: torch.Tensor) -> set[str]:
    """Return the files behind the memory of a tensor, by what the system says."""
    begin, end = tensor.data_ptr(), tensor.data_ptr() + tensor.numel() * tensor.element_size()
    found = set()
    with open("/proc/self/maps", encoding="utf-8") as maps:  # noqa: PTH123
        for line in maps:
            first, last = (int(n, 16) for n in line.split(" ", 1)[0].split("-"))
            if first < end and last > begin:
                found.add(line.split(maxsplit=5)[-1].strip())
    return found


@pytest.mark.parametrize(("side", "is_owned"), [(SIDE, True), (30, False)])
def test_voxels_are_those_that_workers_wrote_where_images_are_whole_pages(
    make_queue: MakeQueue, side: int, is_owned: bool
) -> None:
    queue = make_queue(
        subjects=make_large(side=side), patch_size=side, max_length=15, num_workers=1
    )
    for batch in queue.batches(3):
        for name in ("t1", "other"):
            tensor = batch[name]["data"]
            assert tensor.is_contiguous()
            assert any("voxloom-patches" in file for file in mapped_files(tensor)) is is_owned


def test_one_image_may_be_owned_and_another_copied(make_queue: MakeQueue, sign: Sign) -> None:
    subjects = [  # 24 voxels a side are 27 pages of float64, and 13.5 of float32
        subject.replace(wide=subject.t1.with_data(subject.t1.array.astype(np.float64)))
        for subject in changing.make_subjects(4, side=40)
    ]
    settings = {"subjects": subjects, "patch_size": 24, "max_length": 12}
    batches = (queue := make_queue(num_workers=1, **settings)).batches(2)
    first = next(batches)
    assert any("voxloom-patches" in file for file in mapped_files(first["wide"]["data"]))
    assert not any("voxloom-patches" in file for file in mapped_files(first["t1"]["data"]))
    assert sign([first, *batches]) == sign(make_queue(**settings).batches(2))
    assert queue.num_patches <= 12


@pytest.mark.parametrize("batch_size", [1, 2, 4, 5])
def test_batches_that_are_kept_stay_as_they_are(
    make_queue: MakeQueue, sign: Sign, batch_size: int
) -> None:
    settings = {"subjects": make_large(), "patch_size": SIDE, "max_length": 15}
    expected = sign(make_queue(**settings).batches(batch_size))
    queue = make_queue(num_workers=2, **settings)
    kept = list(queue.batches(batch_size))  # more than there are spare frames for
    later = [list(queue.batches(batch_size)) for _ in range(2)]
    assert sign(kept) == expected
    queue.close()
    assert sign(kept) == expected
    assert len(later[0]) == len(kept)


def test_nobody_writes_into_a_batch_that_is_held_and_its_frames_come_back(
    make_queue: MakeQueue,
) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, max_length=15, num_workers=2)
    first = next(batches := queue.batches(3))
    first["t1"]["data"].fill_(-7.0)
    part = first["t1"]["data"][1, 0]  # a view alone keeps the frames of the whole batch
    del first
    for _ in batches:
        pass
    for _ in range(3):
        for batch in queue.batches(3):
            assert not (batch["t1"]["data"] == -7.0).any()
    assert (part == -7.0).all()
    assert queue._dispatcher is not None
    lender = queue._dispatcher.lender
    del batch
    gc.collect()
    assert len(lender._spare) == lender._made - 3
    del part
    gc.collect()
    assert len(lender._spare) == lender._made <= 9


def test_frames_are_never_more_than_twice_the_slots(make_queue: MakeQueue) -> None:
    queue = make_queue(subjects=make_large(), patch_size=SIDE, max_length=6, num_workers=1)
    for size in (1, 2, 3, 6, 7):
        kept = list(queue.batches(size))
        assert len(kept) == -(-15 // size)
    memory = memory_of(queue)
    assert memory._num_frames <= 2 * memory.count == 12
    frames = sorted(memory.frame_of(slot) for slot in range(memory.count))
    assert len(set(frames)) == memory.count


def test_windows_on_the_same_frames_are_made_once(make_queue: MakeQueue) -> None:
    queue = make_queue(
        subjects=make_large(6), patch_size=SIDE, max_length=6, num_workers=1, schedule=None
    )
    made = []
    for _ in range(6):
        for _batch in queue.batches(3):
            pass
        made.append(set(memory_of(queue)._windows._kept))
    assert made[-1] == made[-2]
    assert len(made[-1]) <= 2 * 5  # of two images, for two batches in slots and three that are lent


def test_windows_are_let_go_where_slots_come_in_any_order(make_queue: MakeQueue) -> None:
    queue = make_queue(subjects=make_large(9), patch_size=SIDE, max_length=9, num_workers=1)
    for _ in range(6):
        for _batch in queue.batches(2):
            pass
    windows = memory_of(queue)._windows
    assert windows._parts == sum(len(key) - 1 for key in windows._kept) <= 16 * 9


def test_where_the_system_maps_no_more_batches_are_copied(
    make_queue: MakeQueue, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("Cannot allocate memory")

    settings = {"subjects": make_large(), "patch_size": SIDE, "max_length": 15}
    monkeypatch.setattr("voxloom.loading._window._map_at", refuse)
    queue = make_queue(num_workers=1, **settings)
    assert sign(queue.batches(4)) == sign(make_queue(**settings).batches(4))
    assert queue._dispatcher is not None
    gc.collect()
    assert len(queue._dispatcher.lender._spare) == queue._dispatcher.lender._made


def test_an_error_in_the_middle_of_a_batch_keeps_no_frame(make_queue: MakeQueue) -> None:
    odd = ScalarImage(tensor=np.zeros((2, 36, 36, 36), dtype=np.float32))
    subjects = [*changing.make_subjects(3, side=36), Subject(t1=odd, number=3)]
    queue = make_queue(subjects=subjects, patch_size=SIDE, max_length=12, num_workers=1)
    with pytest.raises(ValueError, match=r"'t1' has shape.* one number of channels"):
        list(queue.batches(6))
    assert sorted(patch.number for patch in queue) == sorted([0, 1, 2, 3] * 3)
    gc.collect()
    assert queue._dispatcher is not None
    assert len(queue._dispatcher.lender._spare) == queue._dispatcher.lender._made


@pytest.mark.parametrize("lacks", ["memfd_create", "posix_fallocate"])
def test_without_a_memfd_patches_cross_in_a_file_without_a_name(
    make_queue: MakeQueue, sign: Sign, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lacks: str
) -> None:
    def run(**options: Any) -> list[str]:
        queue = make_queue(subjects=make_large(), patch_size=SIDE, max_length=15, **options)
        return [name for zero_copy in (False, True)
                for name in sign(queue.batches(4, zero_copy=zero_copy))]  # fmt: skip

    expected = run()
    monkeypatch.delattr(os, lacks)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert run(num_workers=2) == expected
    assert not list(tmp_path.iterdir())
