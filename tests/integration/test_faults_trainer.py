"""What goes wrong on the trainer's side: nothing hangs, and nothing is left of the queue."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faulty
import pytest
from belongings import children, started_children
from torch.utils.data import DataLoader

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import PatchError, QueueError

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
    pytest.mark.usefixtures("nothing_is_left"),
]
LENGTH = 24


def make(transform: Any = None, num_workers: int = 2, **options: Any) -> Queue:
    dataset = SubjectsDataset(faulty.make_subjects(6), transform)
    options.setdefault("executor", "processes" if num_workers else None)
    sampler = options.pop("sampler", UniformSampler(4))
    return Queue(dataset, 6, 4, sampler, num_workers, seed=3, **options)


def numbers(queue: Queue, epochs: int = 1) -> list[int]:
    return [patch.number for _ in range(epochs) for patch in queue]


def train(patches: Any) -> float:
    return sum(1 / 0 for _ in patches)


@pytest.mark.parametrize("way", ["patches", "batches", "loader"])
def test_a_loop_that_raises_with_its_iterator_open_is_left_like_any_other(way: str) -> None:
    ways: dict[str, Callable[[Queue], Any]] = {
        "patches": iter,
        "batches": lambda queue: queue.batches(4),
        "loader": lambda queue: iter(DataLoader(queue, batch_size=4)),
    }
    with make() as queue:
        with pytest.raises(ZeroDivisionError, match="division by zero") as caught:
            train(ways[way](queue))
        assert numbers(queue) == queue.plan(1).subjects.tolist()
    assert caught.tb is not None  # the loop and its iterator are still held


@pytest.mark.parametrize("fault", [faulty.FailOn(2), faulty.KillOn(2)])
def test_a_queue_that_nobody_closes_after_an_error_ends_with_its_name(fault: Any) -> None:
    queue = make(fault)
    assert children()  # one may be killed already
    with pytest.raises(PatchError, match="subject 2"):
        numbers(queue)
    del queue


def test_two_queues_at_once_neither_disturb_nor_end_each_other() -> None:
    one, other = make(), make(faulty.KillOn(2), on_error="replace")
    pairs = list(zip(one, other, strict=True))
    other.close()
    with one:
        given = [patch.number for patch, _ in pairs] + numbers(one)
    with make(num_workers=0) as expected:
        assert given == numbers(expected, epochs=2)
    assert len(pairs) == LENGTH
    assert 2 not in {patch.number for _, patch in pairs}


@pytest.mark.parametrize("is_made_there", [False, True])
def test_another_thread_may_make_or_read_a_queue(is_made_there: bool) -> None:
    given: list[int] = []
    queues = [] if is_made_there else [make()]

    def work() -> None:
        queues.extend([make()] if is_made_there else [])
        given.extend(numbers(queues[0]))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(30)
    given += numbers(queues[0])  # the thread that started the workers has ended
    queues[0].close()
    with make(num_workers=0) as expected:
        assert given == numbers(expected, epochs=2)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_patch_that_was_handed_out_is_not_waited_for(num_workers: int) -> None:
    """Two threads may ask for the same; or a loop that goes on after an error."""
    with make(faulty.FailOn(2), num_workers) as queue:
        place = queue.plan(0).subjects.tolist().index(2)
        with pytest.raises(PatchError, match="subject 2"):
            queue.__getitems__(range(place + 1))
        message = "plan index 0 of epoch 0 was handed out before; .* begin a new loop"
        with pytest.raises(QueueError, match=message):
            queue.__getitems__([place + 1])


@pytest.mark.parametrize("way", ["patches", "batches"])
def test_closing_a_queue_that_another_thread_waits_for_ends_its_loop(way: str) -> None:
    queue = make(faulty.HangOn(*range(6)))
    errors: list[BaseException] = []

    def read() -> None:
        try:
            list(queue if way == "patches" else queue.batches(2))
        except QueueError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    queue.close()
    thread.join(10)
    assert [str(error) for error in errors] == ["the queue is closed; make a new one"]


@pytest.mark.parametrize("executor", ["processes", "threads", None])
def test_what_is_no_exception_but_raised_like_one_is_an_error_of_its_patch(
    executor: str | None,
) -> None:
    transform, workers = faulty.PanicOn(2), 2 if executor else 0
    message = r"subject 2, .*\(epoch 0, plan index \d+\) failed in stage 'transform': .*Panic: 2"
    with (
        make(transform, workers, executor=executor) as queue,
        pytest.raises(PatchError, match=message),
    ):
        numbers(queue)
    with make(transform, workers, executor=executor, on_error="replace") as queue:
        assert len(numbers(queue)) == LENGTH


@pytest.mark.parametrize("executor", ["processes", "threads"])
@pytest.mark.parametrize(
    ("stage", "error"),
    [("read", SystemExit), ("transform", KeyboardInterrupt), ("patch transform", SystemExit)],
)
def test_what_ends_a_program_is_an_error_of_its_patch_in_a_worker(
    tmp_path: Path, stage: str, error: type[BaseException], executor: str
) -> None:
    """At once: it ends no worker, and none is tried in vain."""
    ending = faulty.EndPython(2, error=error)
    subjects = faulty.make_subjects(6)
    options: dict[str, Any] = {"executor": executor}
    if stage == "read":
        paths = [tmp_path / f"{subject.number}.nii.gz" for subject in subjects]
        for subject, path in zip(subjects, paths, strict=True):
            subject.t1.save(path)
        subjects = [
            subject.replace(t1=ScalarImage(path, reader=ending.read))
            for subject, path in zip(subjects, paths, strict=True)
        ]
    if stage == "patch transform":  # which needs torch: quick in forks, two seconds if spawned
        options |= {"patch_transform": ending, "start_method": "forkserver"}
    dataset = SubjectsDataset(subjects, ending if stage == "transform" else None)
    options |= {"num_workers": 2, "seed": 3, "schedule": "spread"}
    message = rf"subject 2, .* failed in stage '{stage}': {error.__name__}: enough"
    with Queue(dataset, 6, 4, UniformSampler(4), **options) as queue:
        is_spawned = executor == "processes" and stage != "patch transform"
        before = started_children(2 if is_spawned else 0)
        with pytest.raises(PatchError, match=message):
            numbers(queue)
        assert children() == before
    with Queue(dataset, 6, 4, UniformSampler(4), on_error="replace", **options) as queue:
        assert len(numbers(queue)) == LENGTH
        assert [subject for _, subject, _ in queue.state_dict()["replaced"]] == [2]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("is_started", [False, True])
def test_a_queue_that_was_closed_is_not_used_again(num_workers: int, is_started: bool) -> None:
    queue = make(num_workers=num_workers, start_background=is_started)
    if is_started:
        next(iter(queue))
    queue.close()
    ways: list[Callable[[], Any]] = [
        lambda: next(iter(queue)),
        lambda: next(queue.batches(2)),
        lambda: next(iter(DataLoader(queue, batch_size=2))),
    ]
    for way in ways:
        with pytest.raises(QueueError, match=r"^the queue is closed; make a new one$"):
            way()
    assert len(queue) == LENGTH
    assert queue.explain(0).plan_index == 0


def local_transform() -> Any:
    def change(subject: Subject) -> Subject:
        return subject

    return change


class Odd(UniformSampler):
    """A sampler with something that stays in its process."""

    lock: Any = None

    def __reduce__(self) -> Any:
        raise TypeError("an odd sampler stays where it is")


@pytest.mark.parametrize("start_background", [True, False])
@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"transform": lambda subject: subject}, "the transform of the data set"),
        ({"transform": local_transform()}, "the transform of the data set"),
        ({"patch_transform": local_transform()}, "patch_transform"),
        ({"sampler": Odd(4)}, "the sampler"),
    ],
)
def test_what_cannot_be_sent_to_workers_is_named_at_once(
    options: Any, what: str, start_background: bool
) -> None:
    message = rf"and {what} cannot be pickled: .*in a module, not inside a function and not as a"
    with pytest.raises(QueueError, match=message):
        next(iter(make(**options, start_background=start_background)))


@pytest.mark.parametrize("descriptors", [3, 12])
def test_workers_that_cannot_all_be_started_are_none(descriptors: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = {int(link.name) for link in Path("/proc/self/fd").iterdir()}
    free = [number for number in range(limits[0]) if number not in used]
    message = r"3 workers could not be started: .*Too many open files; use fewer, .*ulimit -n"
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[descriptors], limits[1]))
    try:
        with pytest.raises(QueueError, match=message):
            make(num_workers=3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


INTERRUPTED = f"""
import gc, os, signal, sys, threading, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import faulty, test_faults_trainer as here
from belongings import belongings

def interrupt(work, *after_s):
    timers = [threading.Timer(s, os.kill, (os.getpid(), signal.SIGINT)) for s in after_s]
    for timer in timers:
        timer.start()
    begin, took_s = time.monotonic(), None
    try:
        work()
    except KeyboardInterrupt:
        took_s = time.monotonic() - begin
    for timer in timers:
        try:
            timer.join()
        except KeyboardInterrupt:
            timer.join()
    return took_s

def close_hanging(*after_s):
    queue = here.make(faulty.HangOn(*range(6)))
    executor = queue._dispatcher._executor
    while any(executor.position(worker).stage != "transform" for worker in range(2)):
        time.sleep(0.01)
    took_s = interrupt(queue.close, *after_s)
    if len(after_s) > 1:
        queue.close()
    return took_s

def start_many():
    made = []
    took_s = interrupt(lambda: made.extend(here.make(num_workers=1) for _ in range(20)), 0.1)
    assert took_s is not None and len(made) < 20
    for queue in made:
        queue.close()

if __name__ == "__main__":
    with here.make() as queue:
        next(iter(queue))
    before = belongings()
    took_s = [close_hanging(0.05), close_hanging(0.5), close_hanging(0.05, 0.06)]
    start_many()
    deadline = time.monotonic() + 5
    while gc.collect() >= 0 and belongings() != before and time.monotonic() < deadline:
        time.sleep(0.05)  # a thread that found its pipes closed, and what it alone referred to
    assert belongings() == before, (belongings(), before)
    print(*took_s)
"""


def test_ctrl_c_while_workers_are_started_or_ended_leaves_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    ran = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert re.fullmatch(r"(\d\.\d+\s){3}", ran.stdout), ran.stderr
    assert max(map(float, ran.stdout.split())) < 5
