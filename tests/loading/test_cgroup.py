"""What control groups allow is read as the kernel writes it, in either version, at every level."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxloom.loading import _cgroup
from voxloom.loading._cgroup import Allowance, allowances

GIB = 2**30
V2 = "memory.max", "memory.current"
V1 = "memory.limit_in_bytes", "memory.usage_in_bytes"


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder in place of the kernel's, in a process that is in the group ``/jobs/7``."""
    monkeypatch.setattr(_cgroup, "_MOUNT", tmp_path / "cgroup")
    monkeypatch.setattr(_cgroup, "_SELF", tmp_path / "self")
    (tmp_path / "self").write_text("9:name=systemd:/\n4:memory:/jobs/7\n1:cpu:/\n0::/jobs/7\n")
    (tmp_path / "cgroup" / "memory" / "jobs" / "7").mkdir(parents=True)
    (tmp_path / "cgroup" / "jobs" / "7").mkdir(parents=True)
    return tmp_path / "cgroup"


def limit(folder: Path, maximum: str, used: int, names: tuple[str, str]) -> None:
    (folder / names[0]).write_text(f"{maximum}\n")
    (folder / names[1]).write_text(f"{used}\n")


@pytest.mark.parametrize("group", ["jobs/7", "jobs", "."])
@pytest.mark.parametrize(("names", "folder"), [(V2, "."), (V1, "memory")], ids=["v2", "v1"])
def test_the_group_of_the_process_counts_and_all_above_it(
    mount: Path, names: tuple[str, str], folder: str, group: str
) -> None:
    limit(mount / folder / group, str(8 * GIB), 3 * GIB, names)
    assert allowances() == [Allowance(8 * GIB, 5 * GIB)]


def test_a_container_that_sees_the_machines_path_finds_its_own_group_at_the_top(
    mount: Path,
) -> None:
    (mount.parent / "self").write_text("4:memory:/docker/123\n0::/../../docker/123\n")
    limit(mount / "memory", str(GIB), 0, V1)
    limit(mount, str(2 * GIB), 0, V2)
    limit(mount.parent, "1", 0, V2)  # above the mount there is no group
    assert [allowance.limit for allowance in allowances()] == [GIB, 2 * GIB]


@pytest.mark.parametrize(
    ("names", "folder", "line"),
    [(V2, "jobs/7", "inactive_file"), (V1, "memory/jobs/7", "total_inactive_file")],
    ids=["v2", "v1"],
)
def test_files_that_are_kept_in_memory_while_there_is_room_are_not_taken(
    mount: Path, names: tuple[str, str], folder: str, line: str
) -> None:
    limit(mount / folder, str(8 * GIB), 8 * GIB, names)
    (mount / folder / "memory.stat").write_text(f"total_shmem {GIB}\n{line} {6 * GIB}\n")
    assert allowances() == [Allowance(8 * GIB, 6 * GIB)]


@pytest.mark.parametrize(("maximum", "names"), [("max", V2), (str(2**63 - 4096), V1)])
def test_no_limit_is_no_limit(mount: Path, maximum: str, names: tuple[str, str]) -> None:
    limit(mount / ("memory" if names == V1 else "."), maximum, 3 * GIB, names)
    assert allowances() == []


def test_a_limit_that_is_passed_leaves_nothing(mount: Path) -> None:
    limit(mount / "jobs", str(GIB), 2 * GIB, V2)
    assert allowances() == [Allowance(GIB, 0)]


@pytest.mark.parametrize("text", ["plenty", ""])
def test_files_that_make_no_sense_are_not_believed(mount: Path, text: str) -> None:
    limit(mount / "jobs", text, 0, V2)
    limit(mount, str(GIB), GIB, V2)
    (mount / "memory.stat").write_text("inactive_file\n")
    assert allowances() == [Allowance(GIB, 0)]


def test_a_system_without_control_groups_has_none(mount: Path) -> None:
    (mount.parent / "self").unlink()
    limit(mount, str(GIB), 0, V2)
    assert allowances() == []
