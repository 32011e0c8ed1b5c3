"""Workers that are killed, hang, or cannot start; too little of what the system gives."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import faulty
import numpy as np
import pytest
import shared_memory

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import PatchError, VoxloomError
from voxloom.loading import _recovery
from voxloom.loading._jobs import Jobs
from voxloom.loading._work import Job

MakeQueue = Callable[..., Queue]
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
    pytest.mark.usefixtures("nothing_is_left"),
]


@pytest.fixture
def make_queue() -> Iterator[MakeQueue]:
    made: list[Queue] = []

    def make(transform: Any, num_workers: int = 2, **options: Any) -> Queue:
        dataset = SubjectsDataset(faulty.make_subjects(6), transform)
        options.setdefault("executor", "processes" if num_workers else None)
        made.append(Queue(dataset, 6, 4, UniformSampler(4), num_workers, seed=3, **options))
        return made[-1]

    yield make
    for queue in made:
        queue.close()


def numbers(queue: Queue) -> list[int]:
    return [patch.number for patch in queue]


def workers_of(queue: Queue) -> list[int]:
    assert queue._dispatcher is not None
    return [process.pid for process in queue._dispatcher._executor._processes]  # type: ignore[attr-defined]


def is_gone(process: int) -> bool:
    """Tell whether a process has ended, waiting a while for it."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("num_workers", [1, 2])
def test_what_kills_its_worker_each_time_is_named_with_signal_stage_and_memory(
    make_queue: MakeQueue, num_workers: int
) -> None:
    queue = make_queue(faulty.KillOn(2), num_workers)
    place = queue.plan(0).subjects.tolist().index(2)
    message = (
        rf"subject 2, .*\(epoch 0, plan index {place}\) ended 2 workers, the last one in stage "
        rf"'transform' \(signal SIGKILL, its worker had taken up to \d+ MiB of .*\).*"
        rf"queue\.explain\({place}, epoch=0\)"
    )
    with pytest.raises(PatchError, match=message):
        numbers(queue)


def test_the_memory_of_a_killed_worker_is_its_own_and_what_it_took_last(
    make_queue: MakeQueue,
) -> None:
    trainers = np.ones(2**29, dtype=np.uint8)  # the trainer has more than any of its workers
    queue = make_queue(faulty.GrowUntilKilled(2, megabytes=300), 1)
    with pytest.raises(PatchError, match=r"signal SIGKILL, its worker had taken up to") as caught:
        numbers(queue)
    [taken] = re.findall(r"up to (\d+) MiB", str(caught.value))
    assert 300 < int(taken) < len(trainers) / 2**20


def test_what_kills_workers_is_replaced_like_what_fails(make_queue: MakeQueue) -> None:
    replaced = make_queue(faulty.KillOn(2), on_error="replace")
    failed = make_queue(faulty.FailOn(2), 0, on_error="replace")
    assert numbers(replaced) == numbers(failed)
    assert replaced.state_dict() == failed.state_dict()


def test_of_patches_that_were_joined_only_that_which_kills_its_worker_is_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    joined: list[int] = []
    join = Jobs.join

    def count(jobs: Jobs, first: Job, end: int, most: int) -> Job:
        job = join(jobs, first, end, most)
        joined.append(len(job.places))
        return job

    monkeypatch.setattr(Jobs, "join", count)
    given, states = [], []
    for num_workers, kills in ((2, True), (0, False)):
        transform = faulty.EndOnPatch(kills=kills)
        with Queue(
            SubjectsDataset(faulty.make_subjects(3)), 64, 60, UniformSampler(4), num_workers,
            seed=3, executor="processes" if num_workers else None, on_error="replace",
            max_replaced=2,
            patch_transform=transform,
        ) as queue:  # fmt: skip
            given.append([(p.number, *p.index_ini.tolist()) for _ in range(3) for p in queue])
            states.append(queue.state_dict())
    assert given[0] == given[1]
    assert states[0] == states[1]
    assert states[0]["replaced"]
    assert max(joined) > 2


@pytest.mark.parametrize("num_workers", [1, 3])
def test_workers_killed_at_any_time_change_nothing(make_queue: MakeQueue, num_workers: int) -> None:
    expected = numbers(make_queue(None, 0))
    queue = make_queue(None, num_workers)
    given = []
    for patch in queue:
        given.append(patch.number)
        if len(given) % 8 == 0:
            os.kill(workers_of(queue)[len(given) // 8 % num_workers], signal.SIGKILL)
    assert given == expected


def test_a_worker_that_hangs_is_named_with_the_stacks_and_ended(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.HangOn(2), timeout=0.7)
    hanging = workers_of(queue)
    with pytest.raises(PatchError, match=r"subject 2, .* hangs in stage 'transform'") as caught:
        numbers(queue)
    assert any("faulty.py" in note and "__call__" in note for note in caught.value.__notes__)
    assert set(workers_of(queue)) != set(hanging)
    assert sum(map(is_gone, set(hanging) - set(workers_of(queue)))) == 1


@pytest.mark.timeout(60)
def test_a_worker_that_reads_nothing_is_told_no_more_than_fits_in_its_pipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All places of its first subject would not, and the trainer would wait for it to read them."""
    monkeypatch.setattr(_recovery, "_LONGEST_START_S", 0.7)
    dataset = SubjectsDataset(faulty.make_subjects(6), faulty.StuckOnArrival())
    options: dict[str, Any] = {"seed": 3, "executor": "processes", "timeout": 0.7}
    with (
        Queue(dataset, 60_000, 60_000, UniformSampler(4), num_workers=1, **options) as queue,
        pytest.raises(VoxloomError, match="workers end before"),
    ):
        next(iter(queue))


def test_what_hangs_is_replaced_like_what_fails(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.HangOn(2), timeout=0.7, retries=0, on_error="replace")
    expected = make_queue(faulty.FailOn(2), 0, on_error="replace")
    assert numbers(queue) == numbers(expected)


@pytest.mark.parametrize("fault", ["hangs", "is gone"])
def test_a_network_folder_that_comes_back_is_read_again(tmp_path: Path, fault: str) -> None:
    subjects = []
    for subject in faulty.make_subjects(4):
        path = tmp_path / f"{subject.number}.nii"
        subject.t1.save(path)
        subjects.append(Subject(t1=ScalarImage(path, reader=faulty.Unsteady(fault, tmp_path))))
    with Queue(
        SubjectsDataset(subjects), 6, 4, UniformSampler(4), 2, seed=3, on_error="retry", timeout=1
    ) as queue:
        assert len(list(queue)) == 16
    assert (tmp_path / "2").exists()


def test_a_trainer_that_takes_its_time_is_no_hang(make_queue: MakeQueue) -> None:
    queue = make_queue(None, timeout=0.2, executor="threads")
    given = 0
    for patch in queue:
        given += 1
        if patch.number == 2:
            time.sleep(0.3)
    assert given == 24


def test_a_transform_that_ends_its_process_is_an_error(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.ends_python, 1)
    with pytest.raises(PatchError, match=r"ended 2 workers, .*\(exit code 1,"):
        numbers(queue)


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_libraries_use_one_thread_in_a_worker(make_queue: MakeQueue, start_method: str) -> None:
    queue = make_queue(faulty.count_threads, 1, start_method=start_method)
    assert next(iter(queue)).threads == [1, 1, 1]


def test_closing_does_not_wait_for_work_that_hangs(make_queue: MakeQueue) -> None:
    queue = make_queue(faulty.HangOn(*range(6)), 2)
    processes = workers_of(queue)
    time.sleep(0.5)
    queue.close()
    queue.close()
    assert all(is_gone(process) for process in processes)


SCRIPT = f"""
import os, signal, sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, {str(Path(__file__).parent)!r})
import faulty
from voxloom import Queue, SubjectsDataset, UniformSampler

def make(transform=None, num_workers=2, **options):
    dataset = SubjectsDataset(faulty.make_subjects(6), transform)
    sampler = options.pop("sampler", UniformSampler(4))
    options.setdefault("executor", "processes" if num_workers else None)
    return Queue(dataset, 6, 4, sampler, num_workers, seed=3, **options)

def workers(queue):
    return [process.pid for process in queue._dispatcher._executor._processes]
"""


def start(code: str, folder: Path, **options: Any) -> subprocess.Popen[str]:
    script = folder / "script.py"
    script.write_text(SCRIPT + code)
    return subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        **options,
    )


def read(code: str, folder: Path, **options: Any) -> tuple[int, str, str]:
    process = start(code, folder, **options)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
def test_workers_in_the_middle_of_work_end_with_a_killed_trainer(
    tmp_path: Path, start_method: str
) -> None:
    trainer = start(
        f"queue = make(faulty.HangOn(*range(6)), start_method={start_method!r})\n"
        "time.sleep(1); print(*workers(queue), flush=True); next(iter(queue))",
        tmp_path,
    )
    assert trainer.stdout is not None
    processes = [int(word) for word in trainer.stdout.readline().split()]
    assert len(processes) == 2
    trainer.kill()
    trainer.communicate()
    assert all(is_gone(process) for process in processes)


@pytest.mark.parametrize("delay", [0.0, 0.6])
def test_ctrl_c_at_any_time_ends_all_and_only_the_trainer_speaks(
    tmp_path: Path, delay: float
) -> None:
    trainer = start(
        "print('here', flush=True)\nqueue = make(faulty.HangOn(*range(6)))\n"
        "print(*workers(queue), flush=True); next(iter(queue))",
        tmp_path,
    )
    assert trainer.stdout is not None
    trainer.stdout.readline()
    processes = [int(word) for word in trainer.stdout.readline().split()]
    time.sleep(delay)
    os.killpg(trainer.pid, signal.SIGINT)
    _, err = trainer.communicate(timeout=30)
    assert err.count("Traceback") == 1
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert all(is_gone(process) for process in processes)


def test_a_file_descriptor_limit_of_64_is_enough_for_four_workers(tmp_path: Path) -> None:
    code = "queue = make(num_workers=4)\nprint(sum(1 for _ in range(3) for _ in queue))"
    limit = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))  # noqa: E731
    status, out, err = read(code, tmp_path, preexec_fn=limit)
    assert (status, out.strip()) == (0, "72"), err


def test_no_descriptor_is_left_after_close(make_queue: MakeQueue) -> None:
    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def use() -> None:
        queue = make_queue(faulty.KillOn(2), 2, on_error="replace")
        numbers(queue)
        queue.close()

    use()  # the first starts what the process keeps
    before = count()
    use()
    assert count() == before


def test_nothing_lies_in_dev_shm(make_queue: MakeQueue) -> None:
    before = shared_memory.names()
    for patch in make_queue(None):
        assert patch is not None
        assert shared_memory.names() <= before


IN_A_SMALL_DEV_SHM = ("unshare", "--mount", "sh", "-c",
                      'mount -t tmpfs -o size=64m tmpfs /dev/shm && exec "$@"', "sh")  # fmt: skip


def can_mount() -> bool:
    ran = subprocess.run([*IN_A_SMALL_DEV_SHM, "true"], capture_output=True, check=False)
    return ran.returncode == 0


@pytest.mark.skipif(not can_mount(), reason="mounting a /dev/shm needs rights that are not there")
def test_a_dev_shm_of_64_mb_is_no_limit(tmp_path: Path) -> None:
    code = """
if __name__ == "__main__":
    status = os.statvfs("/dev/shm")
    dataset = SubjectsDataset(faulty.make_subjects(4, size=100))
    with Queue(dataset, 60, 20, UniformSampler(96), 2, executor="processes") as queue:
        given = [sum(len(batch["number"]) for batch in queue.batches(10, zero_copy=zero_copy))
                 for zero_copy in (False, True)]
        print(status.f_blocks * status.f_frsize, queue.get_max_memory(), *given,
              os.listdir("/dev/shm"))
"""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT + code)
    command = [*IN_A_SMALL_DEV_SHM, sys.executable, str(script)]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert ran.stdout.split() == [str(2**26), str(60 * 4 * 96**3), "80", "80", "[]"], ran.stderr


def test_too_little_memory_for_the_patches_is_an_error_and_no_bus_error(tmp_path: Path) -> None:
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))  # noqa: E731
    code = (
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nnext(iter(make(sampler=UniformSampler(8))))"
    )
    status, _, err = read(code, tmp_path, preexec_fn=limit)
    assert status == 1
    assert "QueueMemoryError" in err
    assert "choose a smaller max_length or patch_size" in err


def test_what_is_defined_where_workers_cannot_find_it_is_explained(tmp_path: Path) -> None:
    code = """
import types
module = types.ModuleType("typed_in")
exec("def change(subject): return subject", module.__dict__)
sys.modules["typed_in"] = module
if __name__ == "__main__":
    next(iter(make(module.change)))
"""
    status, _, err = read(code, tmp_path)
    assert status == 1
    assert "No module named 'typed_in'" in err
    assert "put it in a module that they can import, or use num_workers=0" in err


def test_what_is_typed_in_is_explained() -> None:
    code = "def change(subject): return subject\nnext(iter(make(change)))"
    ran = subprocess.run(
        [sys.executable, "-"],
        input=SCRIPT + code,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    assert ran.returncode == 1
    assert "Can't get attribute 'change' on <module '__main__'" in ran.stderr
    assert "put it in a module that they can import, or use num_workers=0" in ran.stderr


def test_workers_that_end_at_once_are_not_started_for_ever(tmp_path: Path) -> None:
    code = "def change(subject): return subject\nnext(iter(make(change, num_workers=1)))"
    status, _, err = read(code, tmp_path)
    assert status == 1
    [ours] = [line for line in err.splitlines() if "QueueError: " in line]  # workers speak too
    assert "workers end before they do anything (exit code 1)" in ours
    assert "if __name__ == '__main__':" in ours
    assert "num_workers=0" in ours


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_neither_uses_nor_ends_the_workers(make_queue: MakeQueue) -> None:
    queue = make_queue(None)
    patches = iter(queue)
    given = [next(patches).number]
    child = os.fork()
    if not child:
        try:
            next(patches)
        except RuntimeError as error:
            queue.close()
            os._exit(7 if "this process was forked" in str(error) else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    given += [patch.number for patch in patches]
    assert given == numbers(make_queue(None, 0))
