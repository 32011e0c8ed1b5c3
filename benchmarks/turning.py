"""What it saves that workers leave turning patches into C order to the GPU.

    python benchmarks/turning.py [--data FOLDER] [--subjects 8] [--patch 96] [--rounds 9]

A NIfTI lies with its first axis fastest, a batch with its last. Workers that turn patches, as they
do for the CPU, take turns with workers that do not, as for a GPU. Where there is none, PyTorch's
"meta" device stands in, which takes no time and holds no voxels: figures are of all before it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

import voxloom
from voxloom.datasets import write_phantoms
from voxloom.loading import _device
from voxloom.loading._dispatcher import Dispatcher
from voxloom.loading._voxels import UnturnedVoxels
from voxloom.loading._work import Workshop, WorkSpec

SHAPE = (256, 256, 192)
BATCH, PATCHES, FRAMES, WORKERS = 8, 8, 32, 2
KINDS = ("turned by the worker", "left as it lies")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        packed = write_phantoms(options.data or folder, options.subjects, SHAPE)
        plain = [unpack(subject, Path(options.data or folder)) for subject in packed]
        for suffix, subjects in ((".nii", plain), (".nii.gz", packed)):
            compare_patches(suffix, subjects, options)
        compare_batches(plain, options)
        for suffix, subjects in ((".nii", plain), (".nii.gz", packed)):
            compare_queues(suffix, subjects, options)


def unpack(subject: voxloom.Subject, folder: Path) -> voxloom.Subject:
    """Return the same subject in uncompressed files."""
    paths = {name: folder / f"{subject['name']}_{name}.nii" for name in ("t1", "seg")}
    for name, path in paths.items():
        if not path.exists():
            subject[name].save(path)
    return voxloom.Subject(t1=voxloom.ScalarImage(paths["t1"]), seg=voxloom.LabelMap(paths["seg"]))


def sampler_of(options: argparse.Namespace) -> voxloom.LabelSampler:
    return voxloom.LabelSampler(options.patch, "seg", dict.fromkeys(range(5), 1))


def show(what: str, unit: str, figures: dict[str, list[float]]) -> None:
    before, after = (statistics.median(figures[kind]) for kind in KINDS)
    print(
        f"{what:44} {before:8.2f} {after:8.2f} {unit:11} {after / before:5.2f} of the former",
        flush=True,
    )


def compare_patches(suffix: str, subjects: list[Any], options: argparse.Namespace) -> None:
    """Compare the processor time of a patch in a worker, its place and its voxels."""
    workshop = Workshop(WorkSpec(voxloom.SubjectsDataset(subjects), sampler_of(options), seed=0))
    opened = [workshop.open(number, 0) for number in range(min(len(subjects), 4))]
    memory = np.zeros((FRAMES, opened[0].layout.nbytes), np.uint8)

    def cut(number: int, keeps_order: bool) -> None:
        one = opened[number % len(opened)]
        layout = workshop.layout_as_stored(one) if keeps_order else one.layout
        workshop.cut(one, workshop.locate(one, number, 0), memory[number % FRAMES], layout)

    figures = in_turn(lambda number: cut(number, False), lambda number: cut(number, True), options)
    show(f"a patch from {suffix}, in a worker", "ms", figures)


def compare_batches(subjects: list[Any], options: argparse.Namespace) -> None:
    """Compare the processor time of copying a patch into the memory of its batch."""
    workshop = Workshop(WorkSpec(voxloom.SubjectsDataset(subjects), sampler_of(options), seed=0))
    opened = workshop.open(0, 0)
    layouts = opened.layout, workshop.layout_as_stored(opened)
    memory = np.zeros((FRAMES, opened.layout.nbytes), np.uint8)
    kept: list[Any] = [None, None]

    def add(number: int, kind: int) -> None:
        if number % BATCH == 0:
            kept[kind] = UnturnedVoxels(BATCH, pinned=torch.cuda.is_available())
        voxels = layouts[kind].views(memory[number % FRAMES])
        kept[kind].add(SimpleNamespace(layout=layouts[kind], voxels=voxels))

    figures = in_turn(lambda number: add(number, 0), lambda number: add(number, 1), options)
    show("a patch into its batch, in the trainer", "ms", figures)


def in_turn(
    before: Callable[[int], None], after: Callable[[int], None], options: argparse.Namespace
) -> dict[str, list[float]]:
    """Return the processor time in ms of calls with running numbers, round by round."""
    figures: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for first in range(0, (options.rounds + 1) * FRAMES, FRAMES):
        for kind, call in zip(KINDS, (before, after), strict=True):
            start = time.process_time()
            for number in range(first, first + FRAMES):
                call(number)
            if first:  # the first round touches new memory
                figures[kind].append(1e3 * (time.process_time() - start) / FRAMES)
    return figures


def compare_queues(suffix: str, subjects: list[Any], options: argparse.Namespace) -> None:
    """Compare epochs of two queues whose batches go to a device."""
    device = "cuda" if torch.cuda.is_available() else "meta"
    _device.is_turning = lambda target: target is not None  # a stand-in counts as a GPU
    dataset = voxloom.SubjectsDataset(subjects * 4)
    keep_order = Dispatcher.keep_order
    rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
    crops: dict[str, list[float]] = {kind: [] for kind in KINDS}
    queues = {
        kind: voxloom.Queue(dataset, FRAMES, PATCHES, sampler_of(options), WORKERS, seed=1)
        for kind in KINDS
    }
    for number in range(options.rounds):
        for kind, queue in queues.items():
            Dispatcher.keep_order = keep_order if kind == KINDS[1] else lambda *_: None
            time.sleep(0.5)  # until all slots are full
            before, start = queue.stats().seconds.get("crop", 0.0), time.perf_counter()
            for _ in queue.batches(BATCH, device):
                pass
            if number:
                rates[kind].append(len(queue) / (time.perf_counter() - start))
                crops[kind].append(1e3 * (queue.stats().seconds["crop"] - before) / len(queue))
    for queue in queues.values():
        queue.close()
    Dispatcher.keep_order = keep_order
    show(f"an epoch from {suffix}, {WORKERS} workers", "patches/s", rates)
    show(f"of it: crop in {suffix}", "ms a patch", crops)


if __name__ == "__main__":
    main()
