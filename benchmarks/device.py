"""How fast batches reach a GPU: the queue's own way against a DataLoader that pins.

    python benchmarks/device.py [--workers 8] [--patch 96] [--batch 8] [--epochs 3] [--plain]

The queue's own way is taken twice: patches are turned into C order on the GPU, or by the workers.
All give the same batches, which is checked first. Then each is timed alone, and with a trainer
whose step takes 1.3 times the mean production time of a batch. What is left of the time of a patch
in a worker is in `benchmarks/turning.py`, which needs no GPU.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from turning import unpack

import voxloom
from voxloom.datasets import write_phantoms
from voxloom.loading._dispatcher import Dispatcher

Make = Callable[[voxloom.Queue, int], Iterator[dict[str, Any]]]


def make_queue(dataset: Any, options: argparse.Namespace) -> voxloom.Queue:
    sampler = voxloom.LabelSampler(options.patch, "seg", {1: 1, 2: 1})
    return voxloom.Queue(dataset, 16 * options.batch, 8, sampler, options.workers, seed=1)


def own_way(queue: voxloom.Queue, batch_size: int) -> Iterator[dict[str, Any]]:
    return queue.batches(batch_size, device="cuda")


def own_way_turned(queue: voxloom.Queue, batch_size: int) -> Iterator[dict[str, Any]]:
    """Let the workers turn patches, as for the CPU."""
    keep_order = Dispatcher.keep_order
    Dispatcher.keep_order = lambda *_: None
    try:
        yield from queue.batches(batch_size, device="cuda")
    finally:
        Dispatcher.keep_order = keep_order


def data_loader(queue: voxloom.Queue, batch_size: int) -> Iterator[dict[str, Any]]:
    for batch in DataLoader(queue, batch_size=batch_size, pin_memory=True):
        yield move(batch)


def move(item: Any) -> Any:
    if isinstance(item, torch.Tensor):
        return item.to("cuda", non_blocking=True)
    return {name: move(value) for name, value in item.items()} if isinstance(item, dict) else item


def check_equal(dataset: Any, options: argparse.Namespace) -> None:
    queues = [make_queue(dataset, options) for _ in range(1 + len(WAYS))]
    batches = zip(
        queues[0].batches(options.batch),
        *(
            make(queue, options.batch)
            for make, queue in zip(WAYS.values(), queues[1:], strict=True)
        ),
        strict=True,
    )
    for expected, *others in batches:
        for other in others:
            for name in ("t1", "seg"):
                assert torch.equal(expected[name]["data"], other[name]["data"].cpu()), name
            assert torch.equal(expected["location"], other["location"].cpu())
    for queue in queues:
        queue.close()


def measure(make: Make, dataset: Any, options: argparse.Namespace, step_s: float) -> tuple:
    """Return seconds to the first batch, batches a second and the share of busy time.

    The last two are those after the first epoch, in which files are looked at and indexed.
    """
    start, first_s, count, worked = time.perf_counter(), 0.0, 0, 0.0
    with make_queue(dataset, options) as queue:
        for epoch in range(options.epochs):
            if epoch == 1:
                begin, count, worked = time.perf_counter(), 0, 0.0
            for _batch in make(queue, options.batch):
                torch.cuda.synchronize()
                now = time.perf_counter()
                first_s = first_s or now - start
                if step_s:
                    time.sleep(step_s)
                worked += time.perf_counter() - now
                count += 1
    took = time.perf_counter() - begin
    return first_s, count / took, worked / took


WAYS: dict[str, Make] = {
    "batches(device='cuda')": own_way,
    "the same, workers turn": own_way_turned,
    "DataLoader, pinned": data_loader,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=24)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--patch", type=int, default=96)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--plain", action="store_true", help="from uncompressed files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        subjects = write_phantoms(Path(folder), options.subjects, (256, 256, 192))
        if options.plain:
            subjects = [unpack(subject, Path(folder)) for subject in subjects]
        dataset = voxloom.SubjectsDataset(subjects)
        check_equal(dataset, options)
        print(f"{torch.cuda.get_device_name()}: all give the batches of the CPU")
        for name, make in WAYS.items():
            first, rate, _ = measure(make, dataset, options, 0.0)
            _, _, busy = measure(make, dataset, options, 1.3 / rate)
            print(f"{name:24s} first {first:.2f} s, {rate * options.batch:.0f} patches/s, "
                  f"busy {busy:.1%} at 1.3 times the time of a batch")  # fmt: skip


if __name__ == "__main__":
    main()
