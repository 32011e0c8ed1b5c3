"""Train on nothing for a while, and kill workers at random moments.

    python benchmarks/soak.py [--minutes 20] [--seconds-between-kills 5]

Every epoch is checked: each subject as often as the plan says, and the same patches as a queue
without workers gives. At the end: memory of the trainer and of the process tree over the epochs,
and what was left.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import hashlib
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import voxloom
from voxloom.datasets import write_phantoms

SUBJECTS, SAMPLES, PATCH, MAX_LENGTH, BATCH = 24, 8, 32, 48, 4
ALLOWED_GROWTH = 0.02


def make_queue(folder: Path, num_workers: int) -> Any:
    subjects = write_phantoms(folder, SUBJECTS, (96, 96, 64))
    dataset = voxloom.SubjectsDataset(
        [subject.replace(number=number) for number, subject in enumerate(subjects)]
    )
    sampler = voxloom.LabelSampler(PATCH, "seg", {1: 1, 2: 1})
    return voxloom.Queue(dataset, MAX_LENGTH, SAMPLES, sampler, num_workers=num_workers, seed=7)


def digest(batch: dict[str, Any]) -> str:
    voxels = hashlib.blake2b(batch["t1"]["data"].numpy().tobytes(), digest_size=8)
    return voxels.hexdigest() + str(batch["index_ini"].tolist())


def workers_of(pid: int) -> list[int]:
    """Return the processes of the queue: spawned children that run a worker."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread or a worker that has ended meanwhile
            for child in (task / "children").read_text().split():
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                if b"spawn_main" in line:
                    found.append(int(child))
    return found


def kill_at_random(stop: threading.Event, mean_s: float, kills: list[float]) -> None:
    chance = random.Random(0)
    while not stop.wait(chance.expovariate(1 / mean_s)):
        workers = workers_of(os.getpid())
        if workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
                kills.append(time.monotonic())


def anonymous_mib(pids: list[int]) -> float:
    """Return the memory of processes that is no file's: what a leak would show up in."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):  # killed meanwhile
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous"))
    return total / 1024


def traces() -> list[int]:
    """Return how many descriptors, threads and named pieces of shared memory there are."""
    gc.collect()
    files = (list(Path(folder).iterdir()) for folder in ("/proc/self/fd", "/dev/shm"))
    return [threading.active_count(), *map(len, files)]


def growth(measured: list[float]) -> float:
    """Return how much the median of the last tenth is above that of the first, epoch 0 aside."""
    settled = len(measured) // 10 + 1
    return statistics.median(measured[-settled:]) / statistics.median(measured[1 : 1 + settled]) - 1


def soak(folder: Path, minutes: float, mean_s: float) -> int:
    reference = make_queue(folder, 0)
    next(make_queue(folder, 1).batches(BATCH))  # starts what the process keeps
    before = traces()
    queue = make_queue(folder, 2)
    stop, kills = threading.Event(), []
    killer = threading.Thread(target=kill_at_random, args=(stop, mean_s, kills))
    killer.start()
    end, epoch, own, tree = time.monotonic() + 60 * minutes, 0, [], []
    try:
        while time.monotonic() < end:
            counts: Counter[int] = Counter()
            for batch, expected in zip(queue.batches(BATCH), reference.batches(BATCH), strict=True):
                counts.update(batch["number"].tolist())
                if digest(batch) != digest(expected):
                    print(f"epoch {epoch}: a batch differs from the one made without workers")
                    return 1
            if set(counts.values()) != {SAMPLES} or len(counts) != SUBJECTS:
                print(f"epoch {epoch}: not exact: {counts}")
                return 1
            own.append(anonymous_mib([os.getpid()]))
            tree.append(anonymous_mib([os.getpid(), *workers_of(os.getpid())]))
            epoch += 1
            if epoch % 100 == 0:
                print(f"epoch {epoch}: {len(kills)} kills, {own[-1]:.1f} MiB", flush=True)
    finally:
        stop.set()
        killer.join()
        queue.close()
        reference.close()  # it holds decoded volumes, too
    workers, left = len(workers_of(os.getpid())), traces()
    print(
        f"{epoch} exact epochs, {len(kills)} workers killed; last tenth against the first: trainer "
        f"{own[0]:.1f} to {own[-1]:.1f} MiB ({growth(own):+.1%}), with its workers {tree[0]:.0f} "
        f"to {tree[-1]:.0f} MiB ({growth(tree):+.1%}); workers left: {workers}; threads, "
        f"descriptors and shared memory before and after: {before}, {left}"
    )
    return int(
        workers > 0
        or any(a > b for a, b in zip(left, before, strict=True))
        or max(growth(own), growth(tree)) > ALLOWED_GROWTH
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seconds-between-kills", type=float, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(soak(Path(folder), options.minutes, options.seconds_between_kills))


if __name__ == "__main__":
    main()
