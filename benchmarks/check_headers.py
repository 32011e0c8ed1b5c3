"""How long it takes to check the headers of a large data set.

Run: python benchmarks/check_headers.py [--subjects 2000]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from voxloom.io import write_nifti
from voxloom.subjects import SubjectsDataset


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=2000)
    count = parser.parse_args().subjects
    with tempfile.TemporaryDirectory() as folder:
        write_subjects(Path(folder), count)
        for attempt in ("first", "second"):
            start = time.perf_counter()
            dataset = SubjectsDataset.from_glob(
                t1=f"{folder}/{{subject}}/t1.nii.gz",
                seg=f"{folder}/{{subject}}/seg.nii.gz",
                labels=["seg"],
            )
            opened = time.perf_counter()
            report = dataset.check()
            checked = time.perf_counter()
            print(
                f"{attempt}: {count} subjects found in {opened - start:.2f} s, "
                f"{len(report.rows)} headers checked in {checked - opened:.2f} s",
                flush=True,
            )
    print(report)


def write_subjects(folder: Path, count: int) -> None:
    voxels = np.zeros((16, 16, 16), dtype=np.int16)
    for number in range(count):
        place = folder / f"subject {number:05d}"
        place.mkdir()
        affine = np.diag([1.0, 1.0, 1.0 + number % 3, 1.0])
        write_nifti(place / "t1.nii.gz", voxels, affine)
        write_nifti(place / "seg.nii.gz", voxels.astype(np.uint8), affine)


if __name__ == "__main__":
    main()
