"""Train from an OME-Zarr volume larger than memory, and see how much memory that takes.

    python benchmarks/huge_volume.py
    python benchmarks/huge_volume.py --side 1024 --limit-mib 1024

Writes an int16 image of 40 GB and a label map of half of it, both OME-Zarr 0.5 in sharded chunks:
sparse, as a few shards hold voxels and the others are not there, which means zero. Voxels are
decoded all the same, so that the label map is indexed in full. Then trains on label-balanced
patches of 96 voxels a side with two workers and a small network, and prints the peak of the
proportional set sizes of trainer and workers together, from their start to their end. The exit
code says whether it stayed below the limit.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measure.process_tree import TreeWatcher

from voxloom.io import write_zarr

LABELS = (1, 2, 3)
SHARD = 192  # voxels along each axis: three chunks of 64
CHUNK = 64
TRAIN = """
import json, sys, time
import torch, voxloom

if __name__ == "__main__":
    image, labels, steps, patches = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    subject = voxloom.Subject(ct=voxloom.ScalarImage(image), seg=voxloom.LabelMap(labels))
    sampler = voxloom.LabelSampler(96, "seg", {1: 1, 2: 1, 3: 1})
    start = time.perf_counter()
    queue = voxloom.Queue(voxloom.SubjectsDataset([subject]), 16, patches, sampler, num_workers=2)
    network = torch.nn.Sequential(
        torch.nn.Conv3d(1, 4, 3, stride=4), torch.nn.ReLU(), torch.nn.Conv3d(4, 4, 1)
    )
    optimiser = torch.optim.SGD(network.parameters(), 1e-4)
    seen, done, first_s = set(), 0, None
    while done < steps:
        for batch in queue.batches(2):
            first_s = first_s or time.perf_counter() - start
            seen.update(batch["seg"]["data"][:, 0, 48, 48, 48].tolist())
            loss = network(batch["ct"]["data"].float() / 1000).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1
    took = time.perf_counter() - start
    print(json.dumps({"first_s": first_s, "took_s": took, "labels": sorted(seen), "steps": done}))
    queue.close()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=2720, help="of the volume, in voxels")
    parser.add_argument("--filled", type=int, default=60, help="shards that hold voxels")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--limit-mib", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="where to; a temporary one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        image, labels = make_store(Path(folder), arguments.side, arguments.filled)
        voxels = arguments.side**3
        on_disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        print(
            f"image {2 * voxels / 1e9:.1f} GB and labels {voxels / 1e9:.1f} GB, "
            f"{on_disk / 1e6:.0f} MB on disk",
            flush=True,
        )
        facts, peak_mib = train(Path(folder), image, labels, arguments.steps)
    print(
        f"{facts['steps']} steps of 2 patches in {facts['took_s']:.1f} s, the first batch after "
        f"{facts['first_s']:.1f} s; labels at the centres: {facts['labels']}"
    )
    print(f"peak of the process tree: {peak_mib:.0f} MiB, the limit is {arguments.limit_mib}")
    if peak_mib >= arguments.limit_mib or facts["labels"] != list(LABELS):
        sys.exit("more memory than allowed, or other labels than asked for")


def train(folder: Path, image: Path, labels: Path, steps: int) -> tuple[dict[str, Any], float]:
    script = folder / "train.py"
    script.write_text(TRAIN)
    asked = json.dumps([str(image), str(labels), steps, 2 * steps])
    trainer = subprocess.Popen(
        [sys.executable, str(script), asked], stdout=subprocess.PIPE, text=True
    )
    with TreeWatcher(trainer.pid, interval_s=0.05) as watcher:
        output, _ = trainer.communicate()
    if trainer.returncode:
        sys.exit(f"the trainer ended with {trainer.returncode}")
    return json.loads(output.splitlines()[-1]), watcher.peak_bytes() / 2**20


def make_store(folder: Path, side: int, filled: int) -> tuple[Path, Path]:
    """Write the image and its labels, of which `filled` shards hold voxels."""
    rng = np.random.default_rng(0)
    count = math.ceil(side / SHARD)
    places = rng.permutation(count**3)[:filled]
    paths = folder / "ct.zarr", folder / "labels.zarr"
    for path, dtype in zip(paths, ("int16", "uint8"), strict=True):
        write_pattern(path, folder / "one.zarr", side, dtype, places, count, rng)
    return paths


def write_pattern(
    path: Path, one: Path, side: int, dtype: str, places: Any, count: int, rng: Any
) -> None:
    """Write one shard, then put links to it where voxels shall be."""
    cube = np.zeros((1, SHARD, SHARD, SHARD), dtype)
    if dtype == "int16":
        cube[:] = rng.integers(-1000, 1000, cube.shape)
    else:
        for label, half in zip(LABELS, (80, 50, 20), strict=True):
            cube[:, 96 - half : 96 + half, 96 - half : 96 + half, 96 - half : 96 + half] = label
    shutil.rmtree(one, ignore_errors=True)
    write_zarr(one, cube, chunk=CHUNK, labels=dtype == "uint8")
    (shard,) = [file for file in one.rglob("*") if file.is_file() and file.name != "zarr.json"]
    facts = json.loads((one / "0" / "zarr.json").read_text())
    assert facts["chunk_grid"]["configuration"]["chunk_shape"] == [1, SHARD, SHARD, SHARD]
    facts["shape"] = [1, side, side, side]
    (path / "0").mkdir(parents=True)
    shutil.copy(one / "zarr.json", path / "zarr.json")
    (path / "0" / "zarr.json").write_text(json.dumps(facts))
    for place in places:
        i, rest = divmod(int(place), count**2)
        target = path.joinpath("0", "c", "0", *map(str, (i, *divmod(rest, count))))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(shard)


if __name__ == "__main__":
    began = time.perf_counter()
    main()
    print(f"all of it took {time.perf_counter() - began:.0f} s")
