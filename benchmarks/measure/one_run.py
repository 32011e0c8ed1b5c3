"""One loader, one process: build, run the epochs, print what was seen as one JSON line.

Run as ``python -m measure.one_run LOADER MANIFEST WORKLOAD`` by the runner, which watches
the memory and the processor time of this process and its children from outside.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections import Counter
from typing import Any

from measure.loaders import BUILDERS, LIBRARIES, Batch, Epoch
from measure.volumes import load_manifest
from measure.workload import Workload


def main(loader: str, manifest: str, workload: str) -> None:
    work = Workload.from_json(workload)
    pairs = load_manifest(manifest)
    began = time.monotonic()
    importlib.import_module("torch.utils.data")
    importlib.import_module(LIBRARIES[loader])
    imported = time.monotonic()
    epoch = BUILDERS[loader](pairs, work)
    started = time.monotonic()
    facts = run_epochs(epoch, work)
    facts |= {
        "import_s": imported - began,
        "construct_s": started - imported,
        "measured_from": imported,
        "measured_to": time.monotonic(),
    }
    print(json.dumps(facts), flush=True)


def run_epochs(epoch: Epoch, work: Workload) -> dict[str, Any]:
    """Take every batch as fast as it comes, and note when each came and what was in it."""
    centres: Counter[int] = Counter()
    rates, waits, mixed, formats = [], [], [], set()
    first_batch_s = None
    for _ in range(work.epochs):
        patches = 0
        epoch_began = previous = time.monotonic()
        for batch in epoch():
            now = time.monotonic()
            waits.append(now - previous)
            first_batch_s = first_batch_s or now - epoch_began
            patches += len(batch[0])
            formats.add(_format_of(batch, work))
            centres.update(_look_at(batch))
            mixed.append(len(set(batch[2].tolist())))
            previous = time.monotonic()
        rates.append(patches / (time.monotonic() - epoch_began))
        if patches != work.patches:
            raise RuntimeError(f"an epoch of {work.patches} patches gave {patches}")
    return {
        "first_batch_s": first_batch_s,
        "patches_per_s": rates,
        "longest_wait_s": max(waits[1:]),
        "mean_wait_s": sum(waits[1:]) / len(waits[1:]),
        "subjects_per_batch": sum(mixed) / len(mixed),
        "centre_labels": {str(label): count for label, count in sorted(centres.items())},
        "formats": sorted(formats),
    }


def _look_at(batch: Batch) -> list[int]:
    """Touch every page, so that a loader that maps lazily pays; return the centres' labels."""
    image, labels, _ = batch
    image.flatten()[:: 4096 // image.element_size()].sum()
    middle = labels.shape[-1] // 2
    return [int(value) for value in labels[:, 0, middle, middle, middle].tolist()]


def _format_of(batch: Batch, work: Workload) -> str:
    image, labels, _ = batch
    expected = (1, *[work.patch_size] * 3)
    for tensor in (image, labels):
        if tuple(tensor.shape[1:]) != expected:
            raise RuntimeError(f"expected patches of {expected}, got {tuple(tensor.shape[1:])}")
    return f"{str(image.dtype).removeprefix('torch.')}/{str(labels.dtype).removeprefix('torch.')}"


if __name__ == "__main__":
    main(*sys.argv[1:])
