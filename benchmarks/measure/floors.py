"""What the parts cost alone on this machine, one thread: the limit beside each figure."""

from __future__ import annotations

import os
import statistics
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from measure.workload import Workload


@dataclass(frozen=True, slots=True)
class Floors:
    """Median seconds of each part; ``copy_gb_per_s`` counts the bytes copied once."""

    isal_volume_s: float
    zlib_volume_s: float
    crop_pair_s: float
    copy_gb_per_s: float
    patches_per_s_per_core: float
    patches_per_s: float
    cores: int


def measure_floors(pairs: list[tuple[Path, Path]], work: Workload) -> Floors:
    """Measure decoding, cropping and copying, and the patch rate that they allow.

    The rate counts one decoding of both files a volume, and one crop of both patches in
    the order of the volume; it takes reading, choosing places and transport as free, and
    all the cores that the workers can use as ours.
    """
    from isal import igzip

    contents = [(image.read_bytes(), labels.read_bytes()) for image, labels in pairs[:4]]
    isal = statistics.median(
        _seconds(lambda pair=pair: [igzip.decompress(part) for part in pair]) for pair in contents
    )
    zlib_s = statistics.median(
        _seconds(lambda pair=pair: [zlib.decompress(part, wbits=31) for part in pair], repeats=1)
        for pair in contents
    )
    crop = _crop_pair_s(work)
    per_core = work.samples_per_volume / (isal + work.samples_per_volume * crop)
    cores = len(os.sched_getaffinity(0))
    return Floors(
        isal_volume_s=isal,
        zlib_volume_s=zlib_s,
        crop_pair_s=crop,
        copy_gb_per_s=_copy_gb_per_s(),
        patches_per_s_per_core=per_core,
        patches_per_s=per_core * min(cores, work.num_workers),
        cores=cores,
    )


def describe_floors(floors: Floors) -> str:
    return (
        f"floors, one thread: decode image and labels {1e3 * floors.isal_volume_s:.0f} ms (isal), "
        f"{1e3 * floors.zlib_volume_s:.0f} ms (zlib); crop both {1e3 * floors.crop_pair_s:.2f} ms; "
        f"copy {floors.copy_gb_per_s:.1f} GB/s; decode and crop allow "
        f"{floors.patches_per_s_per_core:.0f} patches/s a core, {floors.patches_per_s:.0f} here"
    )


def _crop_pair_s(work: Workload) -> float:
    """Cut one image patch and one label patch, first axis fastest as in a NIfTI file."""
    image = np.ones(work.spatial_shape, np.int16, order="F")
    labels = np.ones(work.spatial_shape, np.uint8, order="F")
    size = work.patch_size
    image_patch = np.empty([size] * 3, np.int16, order="F")
    label_patch = np.empty([size] * 3, np.uint8, order="F")
    starts = [
        tuple(place * (extent - size) // 4 for extent in work.spatial_shape) for place in range(5)
    ]

    def crop_all() -> None:
        for start in starts:
            window = tuple(slice(first, first + size) for first in start)
            image_patch[...] = image[window]
            label_patch[...] = labels[window]

    return _seconds(crop_all) / len(starts)


def _copy_gb_per_s() -> float:
    source = np.ones(256 << 20, np.uint8)
    target = np.zeros_like(source)
    return source.nbytes / _seconds(lambda: np.copyto(target, source)) / 1e9


def _seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the least time of a few: noise only ever adds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
