"""What a queue takes is known before it starts, and compared with what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import changing
import pytest

from voxloom import Queue
from voxloom.loading import _memory
from voxloom.loading._memory import QueueMemory, available_bytes, estimate

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
def cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(_memory, "_own_group", lambda controller: tmp_path / "job")
    monkeypatch.setattr(_memory, "_machine_bytes", lambda: 64 * GIB)
    (tmp_path / "job").mkdir()
    (tmp_path / "memory").mkdir()
    return tmp_path


def limit(folder: Path, maximum: str, current: int, names: tuple[str, str]) -> None:
    (folder / names[0]).write_text(f"{maximum}\n")
    (folder / names[1]).write_text(f"{current}\n")


V2 = "memory.max", "memory.current"
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes"


def test_the_cgroup_of_the_process_counts(cgroup: Path) -> None:
    limit(cgroup / "job", str(8 * GIB), 3 * GIB, V2)
    assert available_bytes() == 5 * GIB


def test_the_smallest_limit_counts(cgroup: Path) -> None:
    limit(cgroup / "job", str(8 * GIB), 3 * GIB, V2)
    limit(cgroup, str(4 * GIB), 3 * GIB, V2)
    assert available_bytes() == GIB


def test_version_1_counts_too(cgroup: Path) -> None:
    limit(cgroup / "memory", str(8 * GIB), 7 * GIB, V1)
    assert available_bytes() == GIB


@pytest.mark.parametrize(("maximum", "names"), [("max", V2), (str(2**63 - 4096), V1)])
def test_no_limit_is_no_limit(cgroup: Path, maximum: str, names: tuple[str, str]) -> None:
    limit(cgroup if names == V2 else cgroup / "memory", maximum, 3 * GIB, names)
    assert available_bytes() == 64 * GIB


def test_a_limit_that_is_passed_leaves_nothing(cgroup: Path) -> None:
    limit(cgroup / "job", str(GIB), 2 * GIB, V2)
    assert available_bytes() == 0


def test_files_that_make_no_sense_are_not_believed(cgroup: Path) -> None:
    limit(cgroup / "job", "plenty", 0, V2)
    assert available_bytes() == 64 * GIB


def test_this_machine_says_what_is_left() -> None:
    left = available_bytes()
    assert left is not None
    assert left > 0
