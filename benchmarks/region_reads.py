"""Read boxes of a large volume at new places from every layout, warm or cold; one thread.

    python benchmarks/region_reads.py
    python benchmarks/region_reads.py --cold --patch-size 96 --reads 60

Cold means that the system was asked to forget the file before each read (posix_fadvise).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxloom.geometry import Box
from voxloom.io import PreparedSource, write_reversed, write_zarr

SHAPE = (512, 512, 400)
Read = Callable[[Box], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path(tempfile.gettempdir()) / "voxloom-regions"
    )
    parser.add_argument("--patch-size", type=int, default=96)
    parser.add_argument("--reads", type=int, default=60)
    parser.add_argument("--cold", action="store_true")
    arguments = parser.parse_args()
    layouts = open_layouts(arguments.data)
    size = (arguments.patch_size,) * 3
    seconds = measure(layouts, np.empty(size, np.int16), arguments.reads, cold=arguments.cold)
    print(f"{'layout':20} {'median ms':>10} {'mean':>7} {'least':>7} {'p90':>7} {'MB on disk':>11}")
    for name, taken in seconds.items():
        figures = (np.median(taken), np.mean(taken), np.min(taken), np.quantile(taken, 0.9))
        low, *others = (f"{figure * 1e3:7.2f}" for figure in figures)
        print(f"{name:20} {low:>10} {' '.join(others)} {size_of(layouts[name][0]) / 1e6:11.0f}")


def measure(
    layouts: dict[str, tuple[Path, Read]], out: Any, count: int, *, cold: bool
) -> dict[str, list[float]]:
    """Return the seconds of each read; the layouts take turns, each read is at a new place."""
    rng = np.random.default_rng(1)
    if not cold:
        for _, read in layouts.values():
            read(Box((0, 0, 0), SHAPE)).sum()
    seconds: dict[str, list[float]] = {name: [] for name in layouts}
    for _ in range(count):
        i, j, k = (int(rng.integers(n - m)) for n, m in zip(SHAPE, out.shape, strict=True))
        for name, (path, read) in layouts.items():
            if cold:
                forget(path)
            start = time.perf_counter()
            np.copyto(out, read(Box.at((i, j, k), out.shape)).reshape(out.shape))
            seconds[name].append(time.perf_counter() - start)
    return seconds


def forget(path: Path) -> None:
    """Ask the system to drop a file from memory. Pages that a map holds stay: none is kept."""
    from voxloom.io import _mapping

    _mapping.map_file.cache_clear()
    for file in files_of(path):
        number = os.open(file, os.O_RDONLY)
        os.fsync(number)
        os.posix_fadvise(number, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(number)


def open_layouts(folder: Path) -> dict[str, tuple[Path, Read]]:
    """Write what is not there yet, and return how each layout is read."""
    import blosc2

    folder.mkdir(parents=True, exist_ok=True)
    plain = folder / "ct.npy"
    if not plain.exists():
        np.save(plain, draw())
    paths = {name: folder / f"ct-{name}" for name in ("prepared.nii", "prepared.zarr", "nn.b2nd")}
    voxels = np.load(plain, mmap_mode="r")
    if not paths["prepared.nii"].exists():
        write_reversed(paths["prepared.nii"], voxels[None], np.eye(4))
    if not paths["prepared.zarr"].exists():
        write_zarr(paths["prepared.zarr"], np.asarray(voxels))
    blosc2.set_nthreads(1)
    if not paths["nn.b2nd"].exists():
        options = {"codec": blosc2.Codec.LZ4, "clevel": 5}
        name = str(paths["nn.b2nd"])
        chunks = {"chunks": (64,) * 3, "blocks": (16,) * 3}
        blosc2.asarray(np.asarray(voxels), urlpath=name, cparams=options, **chunks)

    def read_map(box: Box) -> Any:
        return np.load(plain, mmap_mode="r")[box.slices]

    def read_blosc(box: Box) -> Any:
        return blosc2.open(str(paths["nn.b2nd"]), mode="r", dparams={"nthreads": 1})[box.slices]

    return {
        "npy, memory map": (plain, read_map),
        "blosc2 lz4 16 in 64": (paths["nn.b2nd"], read_blosc),
        "voxloom nifti": (paths["prepared.nii"], PreparedSource(paths["prepared.nii"]).read),
        "voxloom zarr": (paths["prepared.zarr"], PreparedSource(paths["prepared.zarr"]).read),
    }


def draw() -> Any:
    """Return a smooth volume with noise, of which lz4 leaves about half."""
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((16, 16, 13), np.float32) * 400
    for axis, length in enumerate(SHAPE):
        places = np.linspace(0, coarse.shape[axis] - 1.001, length)
        low, share = places.astype(int), (places % 1).astype(np.float32)
        share = share.reshape([-1 if n == axis else 1 for n in range(3)])
        coarse = coarse.take(low, axis) * (1 - share) + coarse.take(low + 1, axis) * share
    return (coarse + 15 * rng.standard_normal(SHAPE, np.float32)).astype(np.int16)


def files_of(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]


def size_of(path: Path) -> int:
    return sum(file.stat().st_size for file in files_of(path))


if __name__ == "__main__":
    main()
