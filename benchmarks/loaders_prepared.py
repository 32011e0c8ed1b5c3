"""The same work from prepared data: voxloom, nnU-Net on its own preparation, TorchIO on .nii.gz.

    python benchmarks/loaders_prepared.py --nnunet-python /an/environment/bin/python
    python benchmarks/loaders_prepared.py --loaders voxloom-prepared --repeats 3

The volumes and the epoch are those of peers.py: T1 int16 and label map, 8 patches of 96 voxels a
side of each, around a label that is chosen first, two workers, batches of four. The first run
prepares them, nnU-Net's by its own commands, and keeps that beside the volumes. Each run is a
process of its own, and the loaders take turns; those of prepared data go through more epochs, as
one takes them a tenth of a second. nnU-Net normalises to float32, so its patches are twice as
large; its augmentation is off. TorchIO decodes a volume for all the patches of it that an epoch
wants: ``--samples 80`` takes it as long for ten times as many, of fewer subjects a batch. Whoever
watches memory takes a fifth of a core, so that is done in a run of its own, the last.
The last lines give what copying alone allows: the same boxes from memory maps into one buffer,
as the workers do, and on into a batch, as the trainer does, one thread each.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from measure.process import run_in_peace, run_watched
from measure.volumes import make_volumes, save_manifest
from measure.workload import Workload
from prepare_vs_nnunet import DATASET, preprocess_by_nnunet

import voxloom

PREPARED = ("voxloom-prepared", "voxloom-prepared-zarr", "nnunetv2")
QUICK_PATCHES = 1920


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(tempfile.gettempdir()) / "voxloom-benchmark-volumes"
    parser.add_argument("--data", type=Path, default=default, help="folder of the volumes")
    parser.add_argument("--loaders", nargs="+", default=[*PREPARED, "torchio"])
    parser.add_argument("--nnunet-python", help="an interpreter that has nnU-Net")
    parser.add_argument("--sampling", choices=["label", "uniform"], default="label")
    parser.add_argument("--samples", type=int, default=8, help="patches of a volume in an epoch")
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    samples = arguments.samples
    plain = Workload(sampling=arguments.sampling, epochs=3)
    work = replace(
        plain,
        samples_per_volume=samples,
        max_length=max(plain.max_length, 2 * samples),
        prepared=str(arguments.data / "prepared"),
    )
    quick = replace(work, epochs=1 + -(-QUICK_PATCHES // work.patches))
    pairs = make_volumes(arguments.data, work)
    store = Path(work.prepared)
    loaders = [name for name in arguments.loaders if name != "nnunetv2" or arguments.nnunet_python]
    prepare_all(pairs, store, loaders, arguments.nnunet_python)
    manifest = save_manifest(arguments.data, pairs)
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in loaders}
    peaks: dict[str, float] = {}
    try:
        for number in range(arguments.repeats + 1):
            for name in loaders:
                asked = quick if name in PREPARED else work
                python = arguments.nnunet_python if name == "nnunetv2" else sys.executable
                what = "measure.one_run", name, str(manifest), asked.to_json()
                try:
                    if number < arguments.repeats:
                        runs[name].append(run_in_peace(*what, python=python))
                    else:
                        _, watcher = run_watched(*what, python=python)
                        peaks[name] = watcher.peak_bytes() / 2**20
                except subprocess.SubprocessError as error:
                    print(f"{name} gave no figures: {error}", file=sys.stderr)
    finally:
        manifest.unlink()
    report(runs, peaks)
    report_copies(store / "nifti", work)


def prepare_all(pairs: Any, store: Path, loaders: list[str], nnunet_python: str | None) -> None:
    """Prepare what is not there yet. Running voxloom's again does only what changed."""
    subjects = [
        voxloom.Subject(t1=voxloom.ScalarImage(image), seg=voxloom.LabelMap(labels), number=number)
        for number, (image, labels) in enumerate(pairs)
    ]
    for name, layout in (("voxloom-prepared", "nifti"), ("voxloom-prepared-zarr", "zarr")):
        if name in loaders:
            dataset = voxloom.SubjectsDataset(subjects)
            voxloom.prepare(dataset, store / layout, patch_size=96, layout=layout)
    if "nnunetv2" in loaders and not (store / "nnunet").exists():
        assert nnunet_python is not None
        root = store / "nnunet-folders"
        preprocess_by_nnunet(pairs, root, 2, nnunet_python)
        (root / "preprocessed" / DATASET / "nnUNetPlans_3d_fullres").rename(store / "nnunet")


def report(runs: dict[str, list[dict[str, Any]]], peaks: dict[str, float]) -> None:
    """Print patches a second of each loader, over all epochs but the first, and how they compare.

    Beside them: of how many subjects the patches of a batch are, the mean.
    """
    rates = {
        name: [statistics.harmonic_mean(run["patches_per_s"][1:]) for run in kept]
        for name, kept in runs.items()
        if kept
    }
    middle = {name: statistics.median(found) for name, found in rates.items()}
    columns = ("patches/s", "best", "worst", "peak MiB", "subjects")
    print(f"{'loader':24}", *(f"{column:>9}" for column in columns), " dtypes")
    for name, found in rates.items():
        first = runs[name][0]
        whole = (middle[name], max(found), min(found), peaks.get(name, float("nan")))
        print(
            f"{name:24}",
            *(f"{number:9.0f}" for number in whole),
            f"{first['subjects_per_batch']:9.1f}  {first['formats'][0]},",
            f"centres {json.dumps(first['centre_labels'])}",
        )
    for ours in PREPARED[:2]:
        for other in ("nnunetv2", "torchio"):
            if ours in middle and other in middle:
                print(f"{ours} / {other}: {middle[ours] / middle[other]:.1f}")


def report_copies(store: Path, work: Workload) -> None:
    """Print what the copies alone would allow, on as many cores as there are workers."""
    if not store.exists():
        return
    rng = np.random.default_rng(0)
    maps = [
        [subject[name].source.read()[0] for name in ("t1", "seg")]
        for subject in voxloom.open_prepared(store).dry_iter()
    ]
    n = work.patch_size
    slot = [np.empty((n, n, n), volume.dtype) for volume in maps[0]]
    batch = [np.empty_like(part) for part in slot]
    seconds: dict[str, list[float]] = {"into a slot": [], "into a batch": []}
    for _ in range(400):
        volumes = maps[rng.integers(len(maps))]
        i, j, k = (int(rng.integers(length - n)) for length in volumes[0].shape)
        start = time.perf_counter()
        for volume, out in zip(volumes, slot, strict=True):
            np.copyto(out, volume[i : i + n, j : j + n, k : k + n])
        middle = time.perf_counter()
        for part, out in zip(slot, batch, strict=True):
            np.copyto(out, part)
        seconds["into a slot"].append(middle - start)
        seconds["into a batch"].append(time.perf_counter() - middle)
    cut, gather = (statistics.median(taken) for taken in seconds.values())
    print(
        f"copies alone: {1e3 * cut:.2f} ms into a slot and {1e3 * gather:.2f} ms into a batch, so "
        f"at most {2 / (cut + gather):.0f} patches/s on two cores"
    )


if __name__ == "__main__":
    main()
