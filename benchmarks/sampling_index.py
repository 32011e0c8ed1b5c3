"""What drawing a centre costs: building the index, its size, a draw, and TorchIO beside it.

Run: python benchmarks/sampling_index.py [--torchio-voxels 20000000]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from voxloom.geometry import Shape3
from voxloom.io import Array
from voxloom.patches import Draw, LabelSampler, WeightedSampler
from voxloom.patches._block_index import BlockIndex, exact_dtype, index_masses
from voxloom.patches._mass import Foreground, LabelVoxels, Weights
from voxloom.subjects import SAMPLING_MAP, Image, LabelMap, Subject

SHAPES: tuple[Shape3, ...] = ((64, 64, 64), (256, 256, 192), (512, 512, 400))
LABELS = {0: 0.0, 1: 2.0, 2: 1.0, 3: 1.0}
PATCH_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--torchio-voxels",
        type=int,
        default=20_000_000,
        help="largest volume TorchIO is asked for: 512x512x400 takes it 4.2 GiB",
    )
    limit = parser.parse_args().torchio_voxels
    print("map                      order  cumsum ms  index ms  ratio  index/map %  us a draw")
    for shape in SHAPES:
        report(shape, limit)


def report(shape: Shape3, torchio_limit: int) -> None:
    weights, labels = make_maps(shape)
    cumsum_ms = 1e3 * cumsum_seconds(weights)
    for order in ("F", "C"):
        stored = {
            "float32 weights": np.asarray(weights, order=order),
            "uint8, 3 of 4 labels": np.asarray(labels, order=order),
            "uint8, foreground": np.asarray(labels, order=order),
            "int16, 4 labels": np.asarray(labels, np.int16, order=order),
        }
        for name, array in stored.items():
            report_index(shape, name, order, array, cumsum_ms)
    if weights.size <= torchio_limit:
        report_torchio(weights, labels)


def report_index(shape: Shape3, name: str, order: str, array: Array, cumsum_ms: float) -> None:
    index_ms = 1e3 * fastest(lambda: build(name, array), 3)
    share = 100 * sum(map(bytes_of, build(name, array))) / array.nbytes
    what = f"{'x'.join(map(str, shape))} {name}"
    print(
        f"{what:36} {order}  {cumsum_ms:9.1f} {index_ms:9.1f} {cumsum_ms / index_ms:6.1f}"
        f" {share:12.2f} {draw_microseconds(prepare(name, array)):10.1f}",
        flush=True,
    )


def bytes_of(index: BlockIndex) -> int:
    """Return what an index takes, with the running sum over its rows that draws need."""
    rows = index.rows
    return rows.nbytes + rows.running(exact_dtype(index.mass)).nbytes


def report_torchio(weights: Array, labels: Array) -> None:
    import torch
    import torchio

    maps = {
        "weights": torch.from_numpy(np.ascontiguousarray(weights)),
        "seg": torch.from_numpy(np.ascontiguousarray(labels)),
    }
    subject = torchio.Subject(
        weights=torchio.ScalarImage(tensor=maps["weights"]),
        seg=torchio.LabelMap(tensor=maps["seg"]),
    )
    samplers: dict[str, Any] = {
        "float32 weights": torchio.WeightedSampler(PATCH_SIZE, "weights"),
        "uint8, 3 of 4 labels": torchio.LabelSampler(PATCH_SIZE, "seg", LABELS),
    }
    for name, sampler in samplers.items():
        start = time.perf_counter()
        patches = sampler(subject)
        next(patches)
        first = time.perf_counter()
        for _ in range(20):
            next(patches)
        later = (time.perf_counter() - first) / 20
        print(
            f"    TorchIO {torchio.__version__}, {name}: {1e3 * (first - start):.0f} ms for the "
            f"first patch, {1e6 * later:.0f} us for each one after it, its crop included"
        )


def make_maps(shape: Shape3) -> tuple[Array, Array]:
    """Return random weights and four labels, in the memory order of a NIfTI file."""
    values = np.random.default_rng(0).random(shape[::-1], dtype=np.float32).T[None]
    return values, (values * 4).astype(np.uint8, order="K")


def cumsum_seconds(weights: Array) -> float:
    flat = weights.ravel(order="K")
    # Written in advance: else the first touch of fresh memory would count for the sum.
    out = np.zeros(flat.shape, dtype=np.float64)
    return fastest(lambda: np.cumsum(flat, dtype=np.float64, out=out), 3)


def build(name: str, array: Array) -> list[BlockIndex]:
    if "weights" in name:
        return index_masses(array, [Weights()])
    if "foreground" in name:
        return index_masses(array, [Foreground()])
    labels = [1, 2, 3] if "3 of 4" in name else [0, 1, 2, 3]
    return index_masses(array, [LabelVoxels(label) for label in labels])


def prepare(name: str, array: Array) -> Draw:
    if "weights" in name:
        image = Image(tensor=array, type=SAMPLING_MAP)
        return WeightedSampler(PATCH_SIZE, "m").prepare(Subject(m=image))
    shares = None if "foreground" in name else LABELS
    return LabelSampler(PATCH_SIZE, "m", shares).prepare(Subject(m=LabelMap(tensor=array)))


def draw_microseconds(draw: Draw, count: int = 2000) -> float:
    rng = np.random.Generator(np.random.Philox(0))
    start = time.perf_counter()
    for _ in range(count):
        draw(rng)
    return 1e6 * (time.perf_counter() - start) / count


def fastest(work: Callable[[], Any], times: int) -> float:
    """Return the least seconds of several runs: the one that others disturbed least."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    main()
