"""How fast patches cross from a worker to the trainer: slots against other ways.

    python benchmarks/transport.py [--mib 7] [--items 200]

A child process fills items of one size and the parent copies each into memory of its own, in
turn: one copy on each side. The limit is a copy within one process, measured in the same run.
At the end: how long a batch of four slots takes to be had, copied or mapped side by side.
"""

from __future__ import annotations

import argparse
import mmap
import multiprocessing
import statistics
import time
from collections.abc import Callable
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np

from voxloom.loading._slots import SlotMemory

SLOTS = 8


def fill_slots(pipe: Any, memory: SlotMemory, nbytes: int) -> None:
    source = np.ones(nbytes, dtype=np.uint8)
    memory.attach(nbytes)
    while (slot := pipe.recv()) is not None:
        memory.slot(slot)[:] = source
        pipe.send(slot)


def send_pickles(pipe: Any, memory: SlotMemory, nbytes: int) -> None:
    source = np.ones(nbytes, dtype=np.uint8)
    while pipe.recv() is not None:
        pipe.send(source)


def send_segments(pipe: Any, memory: SlotMemory, nbytes: int) -> None:
    source = np.ones(nbytes, dtype=np.uint8)
    while pipe.recv() is not None:
        segment = (
            SharedMemory(create=True, size=nbytes, track=False)
            if TRACKS
            else SharedMemory(create=True, size=nbytes)
        )
        np.frombuffer(segment.buf, dtype=np.uint8)[:nbytes] = source
        pipe.send(segment.name)
        segment.close()


TRACKS = "track" in SharedMemory.__init__.__code__.co_varnames


def take_slot(memory: SlotMemory, message: Any, target: np.ndarray) -> None:
    target[:] = memory.slot(message)


def take_pickle(memory: SlotMemory, message: Any, target: np.ndarray) -> None:
    target[:] = message


def take_segment(memory: SlotMemory, message: Any, target: np.ndarray) -> None:
    segment = SharedMemory(message)
    view = np.frombuffer(segment.buf, dtype=np.uint8)[: len(target)]
    target[:] = view
    del view
    segment.close()
    segment.unlink()


WAYS: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    "slots": (fill_slots, take_slot),
    "pickle": (send_pickles, take_pickle),
    "one segment an item": (send_segments, take_segment),
}


def gigabytes_per_second(way: str, nbytes: int, items: int) -> float:
    send, take = WAYS[way]
    memory = SlotMemory(SLOTS, shared=True)
    memory.reserve(nbytes)
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=send, args=(theirs, memory, nbytes), daemon=True)
    process.start()
    target = np.ones(nbytes, dtype=np.uint8)
    for slot in range(SLOTS - 1):
        ours.send(slot)
    take(memory, ours.recv(), target)  # the child is up
    start = time.perf_counter()
    for item in range(items):
        ours.send((item + SLOTS - 1) % SLOTS)
        take(memory, ours.recv(), target)
    seconds = time.perf_counter() - start
    for _ in range(SLOTS - 2):
        take(memory, ours.recv(), target)
    ours.send(None)
    process.join()
    memory.close()
    return nbytes * items / seconds / 1e9


def copy_limit(nbytes: int, items: int) -> float:
    source, target = np.ones(nbytes, dtype=np.uint8), np.ones(nbytes, dtype=np.uint8)
    start = time.perf_counter()
    for _ in range(items):
        target[:] = source
    return nbytes * items / (time.perf_counter() - start) / 1e9


def batch_milliseconds(nbytes: int, repeats: int) -> dict[str, float]:
    """Return how long four slots take to become one array, each page of which is then touched."""
    memory = SlotMemory(2 * SLOTS, shared=True)
    memory.reserve(nbytes)
    for slot in range(2 * SLOTS):
        memory.slot(slot)[:] = slot
    ways: dict[str, Callable[[list[int]], Any]] = {
        "copied": lambda slots: np.stack([memory.slot(slot) for slot in slots]),
        "mapped side by side": memory.side_by_side,
    }
    took: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(repeats):
        slots = [(number + step) % (2 * SLOTS) for step in (3, 9, 1, 14)]
        for way, make in ways.items():
            start = time.perf_counter()
            make(slots)[:, :: mmap.PAGESIZE].sum()
            took[way].append(1e3 * (time.perf_counter() - start))
    memory.close()
    return {way: statistics.median(found) for way, found in took.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=float, default=7)
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    nbytes = int(options.mib * 2**20)
    rates: dict[str, list[float]] = {way: [] for way in ("copy in one process", *WAYS)}
    for _ in range(options.repeats):  # interleaved, so that a slow minute hits all of them
        rates["copy in one process"].append(copy_limit(nbytes, options.items))
        for way in WAYS:
            rates[way].append(gigabytes_per_second(way, nbytes, options.items))
    for way, found in rates.items():
        middle, least, most = statistics.median(found), min(found), max(found)
        print(f"{way:22s} {middle:6.2f} GB/s  ({least:.2f} to {most:.2f})")
    for way, took in batch_milliseconds(nbytes, 30).items():
        print(f"a batch of 4, {way:20s} {took:6.2f} ms")


if __name__ == "__main__":
    main()
