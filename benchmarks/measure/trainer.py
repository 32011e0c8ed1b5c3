"""A trainer beside one loader, in one process; prints what was seen as one JSON line.

Run as ``python -m measure.trainer busy|mixed LOADER MANIFEST WORKLOAD STEP``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from measure.loaders import BUILDERS, Epoch
from measure.volumes import load_manifest
from measure.workload import Workload

# The step takes this many times what a batch takes to make when nobody waits for anybody.
STEP_RATIO = 1.3


def main(question: str, loader: str, manifest: str, workload: str, step: str) -> None:
    work = Workload.from_json(workload)
    epoch = BUILDERS[loader](load_manifest(manifest), work)
    if question == "busy":
        facts = busy_share(epoch, work, STEPS[step])
    else:
        facts = distinct_subjects(epoch, work)
    print(json.dumps(facts), flush=True)


def busy_share(epoch: Epoch, work: Workload, step: Callable[[float], None]) -> dict[str, Any]:
    """Share of the time in which the trainer was in its step rather than waiting.

    A batch takes as long to make as the delays say; without them, one epoch warms the loader
    and one is timed. ``busy`` counts everything from the start of the loop;
    ``busy_after_first`` leaves out the wait for the very first batch.
    """
    if work.delay_s:
        made_s = work.delay_s * work.batch_size / work.samples_per_volume / work.num_workers
    else:
        _seconds_per_batch(epoch)
        made_s = _seconds_per_batch(epoch)
    step_s = STEP_RATIO * made_s
    waits, in_step_s = [], 0.0
    began = previous = time.monotonic()
    for _ in range(work.epochs):
        for _batch in epoch():
            arrived = time.monotonic()
            waits.append(arrived - previous)
            step(step_s)
            previous = time.monotonic()
            in_step_s += previous - arrived
    total_s = time.monotonic() - began
    return {
        "made_s": made_s,
        "step_s": step_s,
        "busy": in_step_s / total_s,
        "busy_after_first": in_step_s / (total_s - waits[0]),
        "longest_wait_s": max(waits[1:]),
    }


def distinct_subjects(epoch: Epoch, work: Workload) -> dict[str, Any]:
    """How many subjects the full batches of an epoch mix."""
    counts = [
        len(set(subjects))
        for _ in range(work.epochs)
        for *_, numbers in epoch()
        if len(subjects := numbers.tolist()) == work.batch_size
    ]
    return {"mean": statistics.mean(counts), "least": min(counts), "batches": len(counts)}


def compute(seconds: float) -> None:
    """Keep one core busy, as a trainer on the processor would."""
    import torch

    values = torch.ones(256, 256)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        values @ values


STEPS: dict[str, Callable[[float], None]] = {"sleep": time.sleep, "compute": compute}


def _seconds_per_batch(epoch: Epoch) -> float:
    began = time.monotonic()
    batches = sum(1 for _ in epoch())
    return (time.monotonic() - began) / batches


if __name__ == "__main__":
    main(*sys.argv[1:])
