"""What the live page costs: processor time and throughput with a page that asks, and without.

python benchmarks/monitor_overhead.py --pairs 40
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from measure.process_tree import tree_of

import voxloom as tio

ASK_EVERY_S = 0.5  # as live.js does
# A browser that asks, in a process of its own: its time is not the trainer's.
BROWSER = """
import itertools, sys, time, urllib.request
for number in itertools.count():
    question = "live" if number % 4 else "live?pictures=1"
    urllib.request.urlopen(sys.argv[1] + question).read()
    if not number:
        print("looks", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """One run: patches, seconds, and processor seconds of the trainer's process and of all."""

    patches: int
    seconds: float
    trainer_s: float
    tree_s: float

    def each(self) -> dict[str, float]:
        """Return milliseconds for a patch."""
        return {
            "trainer's process, CPU": 1e3 * self.trainer_s / self.patches,
            "all processes, CPU": 1e3 * self.tree_s / self.patches,
            "clock": 1e3 * self.seconds / self.patches,
        }


def main() -> None:
    asked = parse_arguments()
    torch.set_num_threads(1)
    runs: dict[str, list[Cost]] = {"alone": [], "watched": []}
    with make_queue(asked.subjects) as queue:
        batches = without_end(queue)
        step = make_step(asked.step_ms / 1e3)
        measure(batches, step, asked.seconds)
        for number in range(asked.pairs):
            for kind in ("alone", "watched") if number % 2 else ("watched", "alone"):
                with looked_at(queue, kind == "watched") as browser:
                    runs[kind].append(measure(batches, step, asked.seconds, browser))
            print_pair(runs)
    for what in runs["alone"][0].each():
        pairs = zip(runs["watched"], runs["alone"], strict=True)
        print_ratio(what, [math.log(w.each()[what] / a.each()[what]) for w, a in pairs])


def make_queue(subjects: int) -> tio.Queue:
    phantom = tio.datasets.Phantom((128, 128, 96))
    subject = tio.Subject(t1=phantom.t1.load(), seg=phantom.seg.load())
    dataset = tio.SubjectsDataset(subjects * [subject])
    return tio.Queue(dataset, 64, 8, tio.LabelSampler(64, "seg"), num_workers=1, seed=0)


def without_end(queue: tio.Queue) -> Iterator[dict]:
    while True:
        yield from queue.batches(4)


def make_step(seconds: float) -> Iterator[None]:
    """Return a step of a trainer on the processor: the same arithmetic each time."""
    values = torch.ones(192, 192)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < 1:
        values @ values
        count += 1
    times = round(count * seconds)

    def steps() -> Iterator[None]:
        while True:
            for _ in range(times):
                values @ values
            yield

    return steps()


@contextmanager
def looked_at(queue: tio.Queue, is_looked_at: bool) -> Iterator[int | None]:
    """Give the process that asks the page while the block runs, or None."""
    if not is_looked_at:
        yield None
        return
    with queue.monitor() as page:
        command = [sys.executable, "-c", BROWSER, page.address, str(ASK_EVERY_S)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as browser:
            assert browser.stdout is not None
            browser.stdout.readline()  # that it starts is not ours to count
            try:
                yield browser.pid
            finally:
                browser.kill()


def measure(
    batches: Iterator[dict], step: Iterator[None], seconds: float, browser: int | None = None
) -> Cost:
    """Train for so long and return what it took; `browser` is not counted."""
    own = os.getpid()
    others = [pid for pid in tree_of(own) if pid not in (own, browser)]
    before, began, patches = cpu_of([own]), time.perf_counter(), 0
    before_all = before + cpu_of(others)
    while time.perf_counter() - began < seconds:
        patches += len(next(batches)["index_ini"])
        next(step)
    spent, trainer = time.perf_counter() - began, cpu_of([own])
    return Cost(patches, spent, trainer - before, trainer + cpu_of(others) - before_all)


def cpu_of(pids: list[int]) -> float:
    """Return the processor seconds of processes, to the nanosecond: Linux has a clock for each."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def print_pair(runs: dict[str, list[Cost]]) -> None:
    shown = {kind: "/".join(f"{ms:.3f}" for ms in costs[-1].each().values())
             for kind, costs in runs.items()}  # fmt: skip
    print(f"ms a patch, trainer/all/clock: alone {shown['alone']}, watched {shown['watched']}",
          flush=True)  # fmt: skip


def print_ratio(what: str, logarithms: list[float]) -> None:
    """Print how much more it is with a page, with 95 % confidence from the pairs."""
    mean = statistics.mean(logarithms)
    error = statistics.stdev(logarithms) / len(logarithms) ** 0.5 if len(logarithms) > 1 else 0.0
    low, middle, high = (100 * math.expm1(mean + k * error) for k in (-1.96, 0, 1.96))
    median = 100 * math.expm1(statistics.median(logarithms))
    print(f"{what}: {middle:+.2f} % with the page (95 %: {low:+.2f} to {high:+.2f}), "
          f"median {median:+.2f} %")  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run")
    parser.add_argument("--subjects", type=int, default=200)
    parser.add_argument("--step-ms", type=float, default=20.0, help="the trainer computes so long")
    return parser.parse_args()


if __name__ == "__main__":
    main()
