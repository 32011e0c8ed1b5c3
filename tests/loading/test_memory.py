"""What a queue takes is known before it starts, and compared with what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import changing
import pytest

from voxloom import Queue
from voxloom.loading import _memory
from voxloom.loading._cgroup import Allowance
from voxloom.loading._memory import (
    QueueMemory,
    available_bytes,
    check_room,
    estimate,
    limit_bytes,
)

MakeQueue = Callable[..., Queue]
GIB = 2**30


def test_patches_and_volumes_are_counted_by_their_headers() -> None:
    [subject] = changing.make_subjects(1, side=10)
    memory = estimate(subject, (4, 4, 4), 5, 0)
    assert memory.patches == 5 * 4**3 * 4
    assert memory.total == memory.patches + memory.volumes


def test_an_epoch_that_is_short_takes_less(make_queue: MakeQueue) -> None:
    queue = make_queue(2, 3, max_length=1000)
    assert queue.memory().patches == queue.get_max_memory() == 2 * 6 * 4**3 * 4
    assert queue.get_max_memory_pretty() == "0.0 MiB"
    [larger] = changing.make_subjects(1, side=10)
    larger = larger.replace(t2=larger.t1.with_data(larger.t1.data.double()))
    assert queue.get_max_memory(larger) == 3 * queue.get_max_memory()
    assert queue.memory(larger).volumes >= queue.memory().volumes
    assert queue.get_max_memory_pretty(subject=larger) == "0.0 MiB"


def test_a_queue_that_does_not_fit_says_so_at_once(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "available_bytes", lambda: 1000)
    with pytest.raises(MemoryError, match=r"and 0\.0 MiB are left; choose a smaller max_length"):
        make_queue()


def test_what_is_not_known_is_not_checked() -> None:
    memory = QueueMemory(GIB, GIB, None)
    memory.check()
    assert str(memory) == "2.00 GiB: 1.00 GiB of patches, 1.00 GiB of volumes; available: unknown"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "meminfo").write_text(f"MemTotal: {64 * 2**20} kB\nMemAvailable: {4 * 2**20} kB\n")
    monkeypatch.setattr(_memory, "_MACHINE", tmp_path / "meminfo")
    return tmp_path / "meminfo"


@pytest.mark.parametrize(
    ("groups", "left", "limit"),
    [
        ([], 4 * GIB, 64 * GIB),
        ([Allowance(8 * GIB, 5 * GIB)], 4 * GIB, 8 * GIB),
        ([Allowance(8 * GIB, 3 * GIB), Allowance(16 * GIB, GIB)], GIB, 8 * GIB),
    ],
)
def test_the_smallest_limit_counts(
    machine: Path,
    monkeypatch: pytest.MonkeyPatch,
    groups: list[Allowance],
    left: int,
    limit: int,
) -> None:
    monkeypatch.setattr(_memory, "allowances", lambda: groups)
    assert (available_bytes(), limit_bytes()) == (left, limit)


def test_where_nothing_is_known_nothing_is_checked(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "allowances", list)
    machine.unlink()
    assert available_bytes() is limit_bytes() is None
    check_room(2**60)


def test_room_that_is_not_there_is_an_error_with_the_figure(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_memory, "allowances", list)
    check_room(4 * GIB)
    with pytest.raises(MemoryError, match=r"^4\.00 GiB are left$"):
        check_room(4 * GIB + 1)


def test_this_machine_says_what_is_left() -> None:
    left = available_bytes()
    assert left is not None
    assert left > 0
    assert (limit_bytes() or 0) > left
