"""Slots: reserved at once or refused, never overlapping, and gone without a trace."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom import ScalarImage, Subject
from voxloom.loading import _slots
from voxloom.loading._slots import Layout, SlotMemory

ORDERS = st.sampled_from("CF")
DTYPES = st.sampled_from(["uint8", "int16", "float32", "float64"])


@given(st.lists(st.tuples(st.integers(1, 3), DTYPES, ORDERS), min_size=1, max_size=4))
def test_images_of_a_slot_do_not_overlap(kinds: list[tuple[int, str, str]]) -> None:
    images = {
        f"i{n}": ScalarImage(tensor=np.zeros((channels, 4, 4, 4), dtype=dtype))
        for n, (channels, dtype, _) in enumerate(kinds)
    }
    orders = "".join(order for _, _, order in kinds)
    layout = Layout.of(Subject(images), (3, 2, 1)).in_orders(orders)
    assert layout.orders == orders
    views = layout.views(np.zeros(layout.nbytes, dtype=np.uint8))
    for number, view in enumerate(views.values(), start=1):
        view[...] = number
    for number, (name, view) in enumerate(views.items(), start=1):
        assert view.shape == (images[name].shape[0], 3, 2, 1)
        assert view.dtype == images[name].dtype
        assert (view == number).all()


@pytest.mark.parametrize("patches", [(), (3,)])
def test_the_first_axis_is_fastest_in_f_order(patches: tuple[int, ...]) -> None:
    image = ScalarImage(tensor=np.zeros((2, 9, 9, 9), dtype=np.int16))
    layout = Layout.of(Subject(t1=image), (2, 3, 4)).in_orders("F")
    memory = np.zeros((*patches, layout.nbytes), dtype=np.uint8)
    view = layout.views(memory)["t1"]
    assert view.shape == (*patches, 2, 2, 3, 4)
    assert view.strides[-4:] == (48, 2, 4, 12)
    assert np.shares_memory(view, memory)


@pytest.mark.parametrize("shared", [False, True])
def test_slots_do_not_overlap(shared: bool) -> None:
    memory = SlotMemory(5, shared=shared)
    memory.reserve(100)
    for number in range(5):
        memory.slot(number)[:] = number
    assert [set(memory.slot(number).tolist()) for number in range(5)] == [{n} for n in range(5)]
    memory.close()


def resident_kib() -> int:
    """Return how much of the memory of slots this process has mapped."""
    kib, ours = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split(" ", 1)[0]:
            ours = "memfd:voxloom-patches" in line
        elif ours and line.startswith("Rss:"):
            kib += int(line.split()[1])
    return kib


@pytest.mark.skipif(sys.platform != "linux", reason="other systems map pages when touched")
def test_a_large_slot_is_mapped_at_once_and_only_when_it_is_used() -> None:
    memory = SlotMemory(3, shared=True)
    memory.reserve(1 << 20)
    before = resident_kib()
    assert memory.slot(1).size == 1 << 20
    assert resident_kib() - before == 1024
    memory.slot(1)[:] = 9
    memory.slot(2)
    assert memory.slot(1).min() == 9
    assert resident_kib() - before == 2048
    memory.close()


def write(memory: SlotMemory) -> None:
    memory.attach(64)
    memory.slot(1)[:] = 7


def test_another_process_writes_into_the_same_memory() -> None:
    memory = SlotMemory(2, shared=True)
    memory.reserve(64)
    worker = multiprocessing.get_context("fork").Process(target=write, args=(memory,))
    worker.start()
    worker.join()
    assert memory.slot(1).tolist() == [7] * 64
    assert not memory.slot(0).any()
    memory.close()


def test_closing_gives_the_descriptor_back_once() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    memory = SlotMemory(2, shared=True)
    memory.reserve(64)
    memory.close()
    memory.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_memory_that_is_not_there_is_a_clean_error() -> None:
    with pytest.raises(
        MemoryError, match=r"2 patches .* choose a smaller max_length or patch_size"
    ):
        SlotMemory(2, shared=False).reserve(1 << 60)


def test_shared_memory_that_is_not_there_is_a_clean_error_and_no_signal() -> None:
    code = """
import resource
from voxloom.loading._slots import SlotMemory
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
memory = SlotMemory(2, shared=True)
try:
    memory.reserve(1 << 20)
except MemoryError as error:
    print(type(error).__name__, error)
memory.reserve(1 << 10)
print(len(memory.slot(1)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert done.stdout.startswith("QueueMemoryError 2 patches of 1.0 MiB do not fit in memory")
    assert done.stdout.splitlines()[-1] == "1024"


def test_frames_that_there_is_no_room_for_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(size: int) -> None:
        raise MemoryError(f"{size} bytes are too many")

    memory = SlotMemory(2, shared=True)
    memory.reserve(100)
    monkeypatch.setattr(_slots, "check_room", refuse)
    assert not memory.grow(1)
    with pytest.raises(
        MemoryError, match=r"2 patches of .* do not fit .*\(200 bytes are too many\)"
    ):
        SlotMemory(2, shared=False).reserve(100)
    memory.close()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="other systems reserve in another way")
def test_slots_take_memory_from_when_they_are_opened() -> None:
    memory = SlotMemory(5, shared=True)
    memory.reserve(1 << 16)

    def taken() -> int:
        return os.fstat(memory._fd).st_blocks * 512

    assert taken() == 0
    assert list(memory.open(2)) == [0, 1]
    assert taken() == 2 << 16
    assert list(memory.open(9)) == [2, 3, 4]
    assert not memory.open(1)
    assert list(memory.grow(2)) == [5, 6]
    assert taken() == 7 << 16
    memory.close()
