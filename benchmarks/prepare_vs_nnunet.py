"""Time the preparation of the same files by voxloom and by nnU-Net, each in fresh processes.

    python benchmarks/prepare_vs_nnunet.py --workers 2
    python benchmarks/prepare_vs_nnunet.py --workers 2 --nnunet-path /folder/of/its/packages

The volumes are those of peers.py. nnU-Net needs its own layout of files, which is made of links,
and its fingerprint and plan, which are not timed: only `nnUNetv2_preprocess` is. It resamples
nothing here, as all volumes share a spacing, but normalises to float32 and crops to what is not
zero; voxloom keeps int16 and adds the sampling index. Both read .nii.gz and write for reads by
region.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure.volumes import make_volumes
from measure.workload import Workload

DATASET = "Dataset901_Voxloom"
PREPARE = """
import json, sys
import voxloom
if __name__ == "__main__":
    pairs, folder, workers, layout = json.loads(sys.argv[1])
    subjects = [
        voxloom.Subject(t1=voxloom.ScalarImage(image), seg=voxloom.LabelMap(labels))
        for image, labels in pairs
    ]
    dataset = voxloom.SubjectsDataset(subjects)
    voxloom.prepare(dataset, folder, patch_size=96, num_workers=workers, layout=layout)
"""
NNUNET = "from nnunetv2.experiment_planning.plan_and_preprocess_entrypoints import {0}; {0}()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(tempfile.gettempdir()) / "voxloom-benchmark-volumes"
    parser.add_argument("--data", type=Path, default=default, help="folder of the volumes")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--nnunet-path", type=Path, help="folder with nnU-Net's packages")
    arguments = parser.parse_args()
    pairs = make_volumes(arguments.data, Workload())
    for layout in ("nifti", "zarr"):
        for workers in (0, arguments.workers):
            took, size = time_voxloom(pairs, workers, layout)
            print(
                f"voxloom {layout}, {workers} workers: {took:.1f} s, {size / 1e6:.0f} MB",
                flush=True,
            )
    took, size = time_nnunet(pairs, arguments.workers, arguments.nnunet_path)
    print(f"nnU-Net, {arguments.workers} processes: {took:.1f} s, {size / 1e6:.0f} MB")


def time_voxloom(pairs: list[tuple[Path, Path]], workers: int, layout: str) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.py")
        script.write_text(PREPARE)
        named = [[str(image), str(labels)] for image, labels in pairs]
        asked = json.dumps([named, f"{folder}/store", workers, layout])
        start = time.perf_counter()
        subprocess.run([sys.executable, str(script), asked], check=True)
        return time.perf_counter() - start, size_of(Path(folder, "store"))


def time_nnunet(
    pairs: list[tuple[Path, Path]], workers: int, packages: Path | None
) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        took = preprocess_by_nnunet(pairs, Path(folder), workers, sys.executable, packages)
        return took, size_of(Path(folder, "preprocessed"))


def preprocess_by_nnunet(
    pairs: list[tuple[Path, Path]],
    root: Path,
    workers: int,
    python: str,
    packages: Path | None = None,
) -> float:
    """Let nnU-Net plan and preprocess into a folder; return the seconds of the preprocessing."""
    environment = {
        **os.environ,
        **{f"nnUNet_{name}": str(root / name) for name in ("raw", "preprocessed", "results")},
    }
    if packages is not None:
        environment["PYTHONPATH"] = str(packages)
    lay_out(pairs, root / "raw" / DATASET)
    number = DATASET[7:10]

    def run(entry: str, *options: str) -> None:
        command = [python, "-c", NNUNET.format(entry), "-d", number, *options]
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    run("extract_fingerprint_entry", "-np", str(workers))
    run("plan_experiment_entry")
    start = time.perf_counter()
    run("preprocess_entry", "-c", "3d_fullres", "-np", str(workers))
    return time.perf_counter() - start


def lay_out(pairs: list[tuple[Path, Path]], folder: Path) -> None:
    """Make the folders that nnU-Net reads."""
    for name in ("imagesTr", "labelsTr"):
        (folder / name).mkdir(parents=True)
    for number, (image, labels) in enumerate(pairs):
        shutil.copy(image, folder / "imagesTr" / f"case_{number:03d}_0000.nii.gz")
        shutil.copy(labels, folder / "labelsTr" / f"case_{number:03d}.nii.gz")
    facts = {
        "channel_names": {"0": "T1"},
        "labels": {"background": 0, **{f"structure {n}": n for n in range(1, 5)}},
        "numTraining": len(pairs),
        "file_ending": ".nii.gz",
    }
    (folder / "dataset.json").write_text(json.dumps(facts))


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    main()
