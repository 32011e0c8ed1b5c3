"""Queues in processes of their own: killed, interrupted, forgotten, and what is left then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from voxloom.io import write_zarr

START = f"""
import gc, os, signal, sys, warnings
warnings.simplefilter("ignore", UserWarning)  # batches of so few subjects are not mixed
sys.path[:0] = {[str(Path(__file__).parents[1] / "loading"), str(Path(__file__).parent)]!r}
import changing, shared_memory
from voxloom import Queue, SubjectsDataset, UniformSampler

def make(transform=None, count=6, **options):
    dataset = SubjectsDataset(changing.make_subjects(count), transform)
    options = {{"num_workers": 2, "seed": 0, "executor": "processes", **options}}
    return Queue(dataset, 8, 3, UniformSampler(4), **options)

def say(*words):
    print(*words, flush=True)

def workers(queue):
    return [process.pid for process in queue._dispatcher._executor._processes]
"""

Run = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    """Return a function that starts a script in a process group of its own."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        script = tmp_path / "script.py"
        script.write_text(START + code)
        process = subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if is_alive_group(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def is_alive_group(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(holds: Callable[[], bool]) -> bool:
    for _ in range(400):
        if holds():
            return True
        time.sleep(0.05)
    return False


def read_pids(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


ENDLESS = """
if __name__ == "__main__":
    queue = make(changing.wait_a_little, **OPTIONS)
    for number, batch in enumerate(batch for _ in range(10**6) for batch in queue.batches(4)):
        if number == 2:
            say(*workers(queue))
"""


def test_workers_end_when_the_trainer_is_killed(run: Run) -> None:
    trainer = run("OPTIONS = {}\n" + ENDLESS)
    pids = read_pids(trainer)
    assert len(pids) == 2
    assert all(is_alive(pid) for pid in pids)
    os.kill(trainer.pid, signal.SIGKILL)
    assert wait_until(lambda: not any(is_alive(pid) for pid in pids))


def test_an_interrupt_ends_all_quickly_and_only_the_trainer_speaks(run: Run) -> None:
    trainer = run("OPTIONS = {}\n" + ENDLESS)
    pids = read_pids(trainer)
    os.killpg(trainer.pid, signal.SIGINT)
    _, errors = trainer.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert not any(is_alive(pid) for pid in pids)


def test_a_worker_killed_from_outside_changes_nothing(run: Run) -> None:
    trainer = run("""
if __name__ == "__main__":
    queue = make(changing.wait_a_little)
    for epoch in range(3):
        numbers = []
        for batch in queue.batches(2):
            numbers += batch["number"].tolist()
            if epoch < 2 and len(numbers) == 6:
                os.kill(workers(queue)[epoch], signal.SIGKILL)
        assert numbers == queue.plan(epoch).subjects.tolist(), numbers
    say("exact")
""")
    output, errors = trainer.communicate(timeout=60)
    assert (output, errors) == ("exact\n", "")


def test_nothing_is_left_of_a_queue_however_it_ends(run: Run) -> None:
    trainer = run("""
import threading

ENDS = [
    "queue.close()",
    "del queue",
    "queue.itself = queue; del queue; gc.collect()",
    "batches = queue.batches(2); next(batches); del queue, batches",
    "batches = queue.batches(2); next(batches); queue.close()",
]

def left():
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                  if os.path.islink(f"/proc/self/fd/{fd}")
                  and "/proc/" not in os.readlink(f"/proc/self/fd/{fd}"))

def kinds():
    return [name.split(":")[0] for name in left()]

def leave(end):
    names = {"queue": make(), "gc": gc}
    list(names["queue"].batches(4))
    pids = workers(names["queue"])
    assert kinds() != fds
    exec(end, names)
    assert kinds() == fds, (end, fds, kinds())
    assert shared_memory.names() == shm, end
    assert threading.active_count() == threads, end
    for pid in pids:
        assert not os.path.exists(f"/proc/{pid}"), (end, pid)
    say(end)

if __name__ == "__main__":
    with make() as queue:  # what multiprocessing starts once, and keeps
        list(queue.batches(4))
    del queue
    fds, shm, threads = kinds(), shared_memory.names(), threading.active_count()
    for end in ENDS:
        leave(end)
    say("clean")
""")
    output, errors = trainer.communicate(timeout=90)
    assert errors == ""
    assert output.splitlines()[-1] == "clean"
    assert len(output.splitlines()) == 6


@pytest.mark.parametrize(
    ("before", "leave"),
    [("", ""), ("", "raise SystemExit(0)"), ("import weakref; weakref.finalize(say, say)", "")],
)
def test_a_trainer_that_never_closes_its_queue_ends_quietly(
    run: Run, before: str, leave: str
) -> None:
    trainer = run(f"""
if __name__ == "__main__":
    {before or "pass"}
    queue = make(changing.wait_a_little, num_workers=1)
    batches = queue.batches(4)
    next(batches)
    say(*workers(queue))
    {leave}
""")
    output, errors = trainer.communicate(timeout=60)
    assert errors == ""
    assert trainer.returncode == 0
    assert not any(is_alive(int(word)) for word in output.split())


def test_no_thread_of_ours_is_left_when_python_ends(run: Run) -> None:
    trainer = run("""
import atexit, threading
from voxloom.inference._read_ahead import read_ahead

def tell():
    say([thread.name for thread in threading.enumerate() if "voxloom" in thread.name])

if __name__ == "__main__":
    atexit.register(tell)  # runs last
    queue = make(changing.wait_a_little)
    batches, ahead = queue.batches(4), read_ahead(abs, range(100))
    next(batches), next(ahead)
    tell()
""")
    output, errors = trainer.communicate(timeout=60)
    assert errors == ""
    before, after = output.splitlines()
    assert "voxloom-read-ahead" in before
    assert "voxloom-batches" in before
    assert "voxloom-dispatcher" in before
    assert after == "[]"


def test_a_script_without_a_guard_runs(run: Run) -> None:
    trainer = run("""
for batch in make().batches(9):
    say(len(batch["number"]))
""")
    assert trainer.communicate(timeout=60) == ("9\n9\n", "")


def test_a_transform_of_a_script_works_where_it_is_guarded(run: Run) -> None:
    trainer = run("""
def mark(subject):
    return subject.replace(mark=os.getpid())

if __name__ == "__main__":
    marks = {patch.mark for patch in make(mark)}
    say(os.getpid() in marks, len(marks) > 0)
""")
    assert trainer.communicate(timeout=60) == ("False True\n", "")


def test_a_forked_copy_of_the_trainer_leaves_the_workers_alone(run: Run) -> None:
    trainer = run("""
if __name__ == "__main__":
    queue = make()
    numbers = [batch["number"].tolist() for batch, _ in zip(queue.batches(3), range(2))]
    child = os.fork()
    if not child:
        queue.close()
        del queue
        os._exit(0)
    os.waitpid(child, 0)
    say(sum(len(batch["number"]) for batch in queue.batches(3)))
""")
    assert trainer.communicate(timeout=60)[0] == "18\n"


@pytest.mark.parametrize("way", ["anew", "on", "gone"])
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_a_forked_copy_in_the_middle_of_a_loop_says_so_and_disturbs_nobody(
    run: Run, way: str, executor: str
) -> None:
    trainer = run(f"""
if __name__ == "__main__":
    queue = make(executor={executor!r})
    batches = queue.batches(2)
    number = len(next(batches)["number"])
    child = os.fork()
    if not child:
        signal.alarm(20)
        try:
            if {way!r} == "anew":
                next(queue.batches(2))
            elif {way!r} == "on":
                next(batches)
            else:
                del batches, queue
                gc.collect()
        except RuntimeError as error:
            say("forked" in str(error))
        os._exit(0)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    say(ended, number + sum(len(batch["number"]) for batch in batches))
""")
    said = "" if way == "gone" else "True\n"
    assert trainer.communicate(timeout=60)[0] == said + "0 18\n"


def test_a_queue_over_zarr_ends_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("numcodecs")
    voxels = np.random.default_rng(0).integers(0, 99, (1, 24, 24, 24)).astype(np.int16)
    write_zarr(tmp_path / "a.zarr", voxels, chunk=8)
    script = tmp_path / "train.py"
    script.write_text(
        "import sys, voxloom\n"
        "subject = voxloom.Subject(t1=voxloom.ScalarImage(sys.argv[1]))\n"
        "dataset = voxloom.SubjectsDataset([subject])\n"
        "queue = voxloom.Queue(dataset, 4, 4, voxloom.UniformSampler(8), num_workers=1)\n"
        "print(len(list(queue.batches(2))))\n"
    )
    command = [sys.executable, str(script), str(tmp_path / "a.zarr")]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "2", "")
