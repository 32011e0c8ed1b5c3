"""Kill `voxloom.prepare` at random moments, let it go on, and compare with a run left alone.

    python benchmarks/prepare_kills.py --kills 30

Each run begins with an empty folder, is killed once with its workers, and is finished by a second
run. The exit code says whether every store has the same files with the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import random
import shutil
import signal
import tempfile
import time
from pathlib import Path

from measure.volumes import make_volumes
from measure.workload import Workload

import voxloom

WORK = Workload(subjects=8, spatial_shape=(128, 128, 96), patch_size=48)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--layout", choices=["nifti", "zarr"], default="nifti")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        pairs = make_volumes(home / "volumes", WORK)
        began = time.perf_counter()
        assert not run_and_kill((pairs, home / "whole", options.workers, options.layout), 600.0)
        taken_s = time.perf_counter() - began
        expected, moments = digests(home / "whole"), random.Random(options.seed)
        same = unfinished = 0
        for _ in range(options.kills):
            folder = home / "killed"
            arguments = pairs, folder, options.workers, options.layout
            unfinished += run_and_kill(arguments, moments.uniform(0.0, taken_s))
            prepare(*arguments)
            same += digests(folder) == expected
            shutil.rmtree(folder)
        print(
            f"{options.layout}: {options.kills} runs killed, {unfinished} of them before they were "
            f"done; {same} stores equal that of an undisturbed run, {len(expected)} files each"
        )
    return int(same < options.kills)


def prepare(pairs: list[tuple[Path, Path]], folder: Path, workers: int, layout: str) -> None:
    subjects = [
        voxloom.Subject(t1=voxloom.ScalarImage(image), seg=voxloom.LabelMap(labels))
        for image, labels in pairs
    ]
    dataset = voxloom.SubjectsDataset(subjects)
    voxloom.prepare(dataset, folder, patch_size=48, num_workers=workers, layout=layout)


def run_in_group(*arguments: object) -> None:
    os.setpgrp()
    prepare(*arguments)  # type: ignore[arg-type]


def run_and_kill(arguments: tuple[object, ...], after_s: float) -> bool:
    """Kill a run and its workers after some time; tell whether it was still at work."""
    process = multiprocessing.get_context("spawn").Process(target=run_in_group, args=arguments)
    process.start()
    process.join(after_s)
    assert process.pid is not None
    if not process.is_alive():
        return False
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:  # it is still starting, and in our own group
        process.kill()
    process.join()
    return True


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


if __name__ == "__main__":
    raise SystemExit(main())
