"""Inference beside MONAI's sliding window, turn by turn in one process; and a volume of 1024^3.

Run: python benchmarks/inference.py [--rounds 3] [--large] [--device cpu] [--networks copy ...]
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from measure.process_tree import TreeWatcher

from voxloom import infer
from voxloom.datasets import MNI152, Phantom
from voxloom.geometry import Box
from voxloom.io._nifti_slabs import NiftiSlabWriter
from voxloom.subjects import ScalarImage

Model = Callable[[torch.Tensor], torch.Tensor]
CHUNKS = (1, 64, 64, 64)
MODES = {"gaussian": "gaussian", "constant": "average"}  # MONAI's names, and ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="1024^3 voxels instead of MNI152")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--volumes", nargs="+", choices=VOLUMES, default=list(VOLUMES))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--overlaps", nargs="+", type=float, default=[0.25, 0.5])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of torch")
    options = parser.parse_args()
    if options.large:
        report_large()
    else:
        report_ratios(options)


def report_ratios(options: argparse.Namespace) -> None:
    print(
        f"{'volume':10} {'network':12} {'mode':9} overlap batch threads   MONAI s voxloom s  ratio "
        "(first to third quartile)  difference"
    )
    device = torch.device(options.device)
    for volume, network in product(options.volumes, options.networks):
        image, model = VOLUMES[volume](), NETWORKS[network](device)
        settings = product(options.modes, options.overlaps, options.batch_sizes, options.threads)
        for mode, overlap, batch_size, threads in settings:
            torch.set_num_threads(threads)
            theirs = partial(by_monai, image, model, mode, overlap, batch_size, device)
            ours = partial(by_voxloom, image, model, mode, overlap, batch_size, device)
            print(
                f"{volume:10} {network:12} {mode:9} {overlap:7} {batch_size:5} {threads:7}", end=""
            )
            print(f" {compare(theirs, ours, options.rounds)}", flush=True)


def compare(
    theirs: Callable[[], torch.Tensor], ours: Callable[[], torch.Tensor], rounds: int
) -> str:
    apart = float((theirs() - ours()).abs().max())
    pairs = [(seconds(theirs), seconds(ours)) for _ in range(rounds)]
    monai, mine = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = np.quantile([mine / monai for monai, mine in pairs], (0.25, 0.5, 0.75))
    low, middle, high = (f"{ratio:.2f}" for ratio in ratios)
    return f"{monai:9.3f} {mine:9.3f}  {middle} ({low} to {high})  {apart:.1e}"


def by_monai(
    image: ScalarImage,
    model: Model,
    mode: str,
    overlap: float,
    batch_size: int,
    device: torch.device,
) -> torch.Tensor:
    from monai.inferers import sliding_window_inference

    inputs = image.data[None].to(device)
    with torch.no_grad():
        whole = sliding_window_inference(inputs, 96, batch_size, model, overlap, mode)
    return torch.as_tensor(whole)[0].cpu()


def by_voxloom(
    image: ScalarImage,
    model: Model,
    mode: str,
    overlap: float,
    batch_size: int,
    device: torch.device,
) -> torch.Tensor:
    result: ScalarImage = infer(
        model,
        image,
        96,
        overlap,
        mode=MODES[mode],
        batch_size=batch_size,
        device=device,
        progress=False,
    )
    return result.data


def brain() -> ScalarImage:
    """Return a real volume as a reader of NIfTI gives it: its first axis runs fastest."""
    t1: ScalarImage = MNI152().t1
    return t1.with_data(t1.data.float() / 255)


def phantom() -> ScalarImage:
    """Return 256^3 voxels whose last axis runs fastest, as MONAI likes them."""
    t1: ScalarImage = Phantom((256, 256, 256)).t1
    return t1.with_data(np.ascontiguousarray(t1.array, dtype=np.float32) / 1000)


def copying(channels: int) -> Model:
    # A copy: of a network that returns its input, MONAI changes the caller's volume in place.
    return lambda batch: batch.repeat(1, channels, 1, 1, 1)


def convolutions(device: torch.device) -> Model:
    torch.manual_seed(0)
    layers = torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 2, 1)
    return torch.nn.Sequential(*layers).to(device).eval()


def unet(device: torch.device) -> Model:
    from monai.networks.nets import UNet

    torch.manual_seed(0)
    network: torch.nn.Module = UNet(3, 1, 2, channels=(8, 16, 32), strides=(2, 2))
    return network.to(device).eval()


VOLUMES: dict[str, Callable[[], ScalarImage]] = {"MNI152": brain, "phantom": phantom}
NETWORKS: dict[str, Callable[[torch.device], Model]] = {
    "copy": lambda device: copying(1),
    "copy to 4": lambda device: copying(4),
    "convolutions": convolutions,
    "U-Net": unet,
}


def report_large(length: int = 1024) -> None:
    """Copy a volume that is not in memory to one that is not in memory, from and to files."""
    print(
        f"{length}^3 voxels, int16 to float32     s   peak GiB   without mapped files   difference"
    )
    for suffix, target in ((".zarr", ".nii"), (".nii", ".zarr")):
        with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
            image = ScalarImage(write_waves(Path(folder) / f"in{suffix}", length))
            with TreeWatcher(os.getpid()) as watcher:
                start = time.perf_counter()
                out = Path(folder) / f"out{target}"
                result = infer(lambda batch: batch / 3000, image, 128, 0.25, out=out)
                taken = time.perf_counter() - start
            box = Box((length // 2,) * 3, (length // 2 + 20,) * 3)
            apart = np.abs(result.read(box) - image.read(box) / 3000).max()
            print(
                f"{suffix:>6} to {target:6} {taken:21.0f} {watcher.peak_bytes() / 2**30:10.2f}"
                f"{watcher.peak_own_bytes() / 2**30:23.2f} {apart:12.1e}",
                flush=True,
            )


def write_waves(path: Path, length: int) -> Path:
    """Write a volume that changes slowly, 64 planes at a time."""
    shape = (1, length, length, length)
    slabs = NiftiSlabWriter(path, shape, np.int16) if path.suffix == ".nii" else None
    array = None if slabs else zarr.create_array(path, shape=shape, dtype="int16", chunks=CHUNKS)
    wave = (1000 * np.sin(np.arange(length) / 50)).astype(np.int16)
    for first in range(0, length, 64):
        last = first + 64
        if slabs:
            planes = wave[:, None, None] + wave[:, None] + wave[first:last]
            slabs.write(first, planes[None])
        if array is not None:
            planes = wave[first:last, None, None] + wave[:, None] + wave
            array[:, first:last] = planes[None]
    if slabs:
        slabs.finish()
    return path


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
