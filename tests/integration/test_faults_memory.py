"""The kernel ends what takes too much memory: a worker, whose work is named, never the trainer."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty
import pytest
from memory_group import MemoryGroup

from voxloom import Queue, SubjectsDataset, UniformSampler
from voxloom._errors import PatchError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
    pytest.mark.usefixtures("nothing_is_left"),
]
MIB = 2**20
MakeGroup = Callable[[int], MemoryGroup]


@pytest.fixture
def make_group() -> Iterator[MakeGroup]:
    made: list[MemoryGroup] = []

    def make(limit_bytes: int) -> MemoryGroup:
        try:
            made.append(MemoryGroup(limit_bytes))
        except OSError as error:
            pytest.skip(f"no control group of memory can be made here: {error}")
        return made[-1]

    yield make
    for group in made:
        group.remove()


def make(transform: Any, num_workers: int = 2, **options: Any) -> Queue:
    dataset = SubjectsDataset(faulty.make_subjects(6), transform)
    options.setdefault("executor", "processes" if num_workers else None)
    return Queue(dataset, 6, 4, UniformSampler(4), num_workers, seed=3, **options)


def numbers(queue: Queue) -> list[int]:
    return [patch.number for patch in queue]


@pytest.mark.parametrize("on_error", ["raise", "retry"])
def test_what_outgrows_its_memory_each_time_is_named_within_seconds(
    make_group: MakeGroup, tmp_path: Path, on_error: str
) -> None:
    group = make_group(150 * MIB)
    transform = faulty.Outgrow(2, folder=tmp_path, group=group)
    with make(transform, on_error=on_error) as queue:
        place = queue.plan(0).subjects.tolist().index(2)
        message = (
            rf"subject 2, .*\(epoch 0, plan index {place}\) ended 2 workers, the last one in stage "
            rf"'transform' \(signal SIGKILL, its worker had taken up to \d+ MiB of the [\d.]+ GiB "
            rf"that all processes may take\); SIGKILL usually means that memory ran out"
        )
        begin = time.monotonic()
        with pytest.raises(PatchError, match=message):
            numbers(queue)
        assert time.monotonic() - begin < 20
    assert group.processes() == []


def test_what_outgrows_its_memory_is_replaced_like_what_fails(
    make_group: MakeGroup, tmp_path: Path
) -> None:
    transform = faulty.Outgrow(2, folder=tmp_path, group=make_group(150 * MIB))
    with (
        make(transform, on_error="replace") as replaced,
        make(faulty.FailOn(2), 0, on_error="replace") as failed,
    ):
        assert numbers(replaced) == numbers(failed)
        assert replaced.state_dict() == failed.state_dict()


def test_what_outgrows_its_memory_once_changes_nothing(
    make_group: MakeGroup, tmp_path: Path
) -> None:
    transform = faulty.Outgrow(2, folder=tmp_path, group=make_group(150 * MIB), times=1)
    with make(transform) as queue, make(faulty.FailOn(), 0) as expected:
        assert numbers(queue) == numbers(expected)
    assert (tmp_path / "0").stat().st_size > 1


SCRIPT = f"""
import sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import numpy as np
import faulty
from voxloom import Queue, ScalarImage, SubjectsDataset, UniformSampler
from voxloom.loading._cgroup import allowances
from voxloom.loading._memory import available_bytes
"""

TRAIN = """
own = np.ones(400 * 2**20, dtype=np.uint8)
transform = faulty.Outgrow(2, folder=Path(sys.argv[1]))
with Queue(SubjectsDataset(faulty.make_subjects(6), transform), 6, 4, UniformSampler(4), 1,
           executor="processes") as queue:
    list(queue)
"""

MAKE_TOO_LARGE = """
subjects = faulty.make_subjects(2, size=64)
with Queue(SubjectsDataset(subjects), 600, 300, UniformSampler(64), 1, executor="processes"):
    pass
"""

GROW_TOO_LARGE = """
if __name__ == "__main__":
    subjects = faulty.make_subjects(2)
    with Queue(SubjectsDataset(subjects), 600, 300, UniformSampler(4), 1, executor="processes",
               patch_transform=faulty.enlarge) as queue:
        next(iter(queue))
"""

READ_A_FILE = """
path = Path(sys.argv[1]) / "file"
with path.open("wb") as file:
    for _ in range(200):
        file.write(bytes(2**20))
[limited] = [one for one in allowances() if one.limit == int(sys.argv[2])]
print(available_bytes(), limited.left)
"""


def run(group: MemoryGroup, code: str, *words: str | Path) -> tuple[int, str, str]:
    """Run a script, and what it starts, in a group; it leaves no process there."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT + code, *words],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        preexec_fn=group.enter,
    )
    for _ in range(100):  # helpers of multiprocessing end a moment later
        if not group.processes():
            break
        time.sleep(0.05)
    assert group.processes() == []
    return ran.returncode, ran.stdout, ran.stderr


@pytest.fixture(scope="module")
def import_bytes() -> int:
    """Return what a process takes before it does anything: with a torch for GPUs twice as much."""
    code = SCRIPT + "print(*(line for line in open('/proc/self/status') if 'RssAnon' in line))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return int(ran.stdout.split()[1]) // 1024 * MIB


def test_a_trainer_that_has_most_is_not_what_is_ended(
    make_group: MakeGroup, import_bytes: int, tmp_path: Path
) -> None:
    status, _, err = run(make_group(2 * import_bytes + 500 * MIB), TRAIN, tmp_path)
    assert status == 1
    assert re.search(r"PatchError: subject 2, .* of the [\d.]+ .iB that all .*SIGKILL usually", err)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (MAKE_TOO_LARGE, r"would take 600\.0 MiB \(600\.0 MiB of patches, .* MiB are left; choose"),
        (GROW_TOO_LARGE, r"600 patches of 1\.0 MiB do not fit in memory \([\d.]+ MiB are left\)"),
    ],
    ids=["by its headers", "by its first patch"],
)
def test_a_queue_that_its_group_has_no_room_for_says_so_and_is_not_ended(
    make_group: MakeGroup, import_bytes: int, code: str, message: str
) -> None:
    status, _, err = run(make_group(2 * import_bytes + 200 * MIB), code)
    assert status == 1
    assert re.search(rf"QueueMemoryError: .*{message}", err), err


def test_files_that_the_kernel_keeps_do_not_count_as_taken(
    make_group: MakeGroup, import_bytes: int, tmp_path: Path
) -> None:
    limit = import_bytes + 250 * MIB
    status, out, err = run(make_group(limit), READ_A_FILE, tmp_path, str(limit))
    assert status == 0, err
    available, left = map(int, out.split())
    assert abs(available - left) < 100 * MIB  # the kernel writes the file out meanwhile
    assert left > 150 * MIB


def test_workers_are_ended_before_their_trainer() -> None:
    """Where memory runs out the kernel goes by this score and by size."""
    with make(None) as queue:
        assert queue._dispatcher is not None
        executor: Any = queue._dispatcher._executor
        scores = [
            int(Path(f"/proc/{pid}/oom_score_adj").read_text())
            for pid in [os.getpid(), *(process.pid for process in executor._processes)]
        ]
    assert scores[0] < min(scores[1:])
