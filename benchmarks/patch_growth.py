"""How the cost of a patch grows with its volume: 256, 512 and 1024 voxels a side, one thread.

    python benchmarks/patch_growth.py
    python benchmarks/patch_growth.py --sides 256 1024 --layouts zarr --patches 300

A patch of 96 voxels a side of an int16 image and its label map, from what `voxloom.prepare`
writes, in the page cache: located, uniformly or around a label that is chosen first, and copied.
The index of the label map is loaded once for each volume and counts with a share of one patch in
1,000, as a training takes thousands of each. There are as many volumes of each size as hold the
same number of voxels, 64 of the smallest for one of the largest: a single small one would lie in
the processor's cache. The larger volumes hold copies of the smallest, side by side.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

import voxloom
from voxloom.io import PreparedSource, write_reversed, write_zarr
from voxloom.loading._work import Workshop, WorkSpec
from voxloom.patches import PatchSampler, save_index

LEAST = 256
PATCHES_A_VOLUME = 1000
ROUND = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--layouts", nargs="+", default=["nifti", "zarr"])
    parser.add_argument("--patches", type=int, default=400)
    parser.add_argument("--folder", type=Path, help="where to; 9 GB are needed for all three")
    arguments = parser.parse_args()
    samplers = {
        "uniform": voxloom.UniformSampler(96),
        "label-balanced": voxloom.LabelSampler(96, "seg", {1: 1, 2: 1, 3: 1}),
    }
    print(f"{'layout':7} {'sampling':15} {'side':>5} {'patch ms':>9} {'index ms':>9} {'growth':>7}")
    for layout in arguments.layouts:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            volumes = {}
            for side in arguments.sides:
                count = (max(arguments.sides) // side) ** 3
                (place := Path(folder) / str(side)).mkdir()
                volumes[side] = make_subjects(place, layout, side, count)
            for name, sampler in samplers.items():
                report(layout, name, compare(volumes, sampler, arguments.patches))


def report(layout: str, name: str, costs: dict[int, tuple[float, float]]) -> None:
    """Print what a patch and an index cost at each size, and how much more than at the least."""
    wholes = [patch_s + index_s / PATCHES_A_VOLUME for patch_s, index_s in costs.values()]
    for (side, (patch_s, index_s)), whole in zip(costs.items(), wholes, strict=True):
        print(
            f"{layout:7} {name:15} {side:5} {1e3 * patch_s:9.2f} {1e3 * index_s:9.1f} "
            f"{whole / wholes[0]:7.2f}",
            flush=True,
        )


def compare(
    volumes: dict[int, list[voxloom.Subject]], sampler: PatchSampler, count: int
) -> dict[int, tuple[float, float]]:
    """Return the seconds of a patch, median, and of getting ready for one volume, by size.

    The sizes take turns, so that a machine whose speed drifts treats them alike.
    """
    runs = {side: Run(subjects, sampler, count) for side, subjects in volumes.items()}
    for first in range(0, count, ROUND):
        for run in runs.values():
            run.cut(range(first, min(first + ROUND, count)))
    return {side: (run.median_s(), run.index_s) for side, run in runs.items()}


class Run:
    """Patches of the volumes of one size."""

    def __init__(self, subjects: list[voxloom.Subject], sampler: PatchSampler, count: int) -> None:
        self._workshop = Workshop(WorkSpec(voxloom.SubjectsDataset(subjects), sampler, seed=0))
        start = time.perf_counter()
        self._opened = [self._workshop.open(number, 0) for number in range(len(subjects))]
        self.index_s = (time.perf_counter() - start) / len(subjects)
        self._slots = [np.empty(self._opened[0].layout.nbytes, np.uint8) for _ in range(64)]
        self._order = np.random.default_rng(0).integers(len(subjects), size=count).tolist()
        self._seconds: list[float] = []

    def cut(self, numbers: range) -> None:
        """Cut patches and note how long each took."""
        for number in numbers:
            opened = self._opened[self._order[number]]
            start = time.perf_counter()
            box = self._workshop.locate(opened, number, 0)
            self._workshop.cut(opened, box, self._slots[number % len(self._slots)])
            self._seconds.append(time.perf_counter() - start)

    def median_s(self) -> float:
        """Return the median, without the first patches, which touch new memory."""
        return statistics.median(self._seconds[len(self._slots) :])


def make_subjects(folder: Path, layout: str, side: int, count: int) -> list[voxloom.Subject]:
    """Write images and label maps as `voxloom.prepare` does, all alike."""
    rng = np.random.default_rng(0)
    grid = np.mgrid[:LEAST, :LEAST, :LEAST] - LEAST / 2
    radius = np.sqrt((grid.astype(np.float32) ** 2).sum(axis=0))
    image = (1000 - 4 * radius + 15 * rng.standard_normal(radius.shape)).astype(np.int16)
    labels = ((radius < 110).astype(np.uint8) + (radius < 70) + (radius < 30)).astype(np.uint8)
    for number in range(count):
        (place := folder / str(number)).mkdir()
        for name, voxels in (("ct", image), ("seg", labels)):
            whole = np.tile(voxels, (side // LEAST,) * 3)[None]
            if layout == "nifti":
                write_reversed(place / f"{name}.nii", whole, np.eye(4))
            else:
                write_zarr(place / f"{name}.zarr", whole, labels=name == "seg")
        save_index(place / "index.npz", whole, "label")
    read_once(folder)
    return [open_subject(folder / str(number), layout) for number in range(count)]


def open_subject(folder: Path, layout: str) -> voxloom.Subject:
    suffix = "nii" if layout == "nifti" else "zarr"
    image = PreparedSource(folder / f"ct.{suffix}")
    labels = PreparedSource(folder / f"seg.{suffix}", index=folder / "index.npz")
    return voxloom.Subject(
        ct=voxloom.ScalarImage.from_source(image), seg=voxloom.LabelMap.from_source(labels)
    )


def read_once(path: Path) -> None:
    """Put a file, or the files of a folder, into the page cache."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as opened, Path("/dev/null").open("wb") as nowhere:
                shutil.copyfileobj(opened, nowhere, 1 << 20)


if __name__ == "__main__":
    main()
