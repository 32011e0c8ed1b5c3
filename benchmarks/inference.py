"""Inference beside MONAI's sliding window, turn by turn in one process; and a volume of 1024^3.

Run: python benchmarks/inference.py [--rounds 3] [--large] [--device cpu]
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from voxloom import infer
from voxloom.datasets import MNI152
from voxloom.geometry import Box, Space
from voxloom.io import Array, VolumeSource
from voxloom.subjects import ScalarImage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", action="store_true", help="1024^3 voxels instead of MNI152")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.large:
        report_large()
    else:
        report_ratios(options.rounds, torch.device(options.device))


def report_ratios(rounds: int, device: torch.device) -> None:
    from monai.inferers import sliding_window_inference

    t1 = MNI152().t1
    image = t1.with_data(t1.data.float() / 255)
    models: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "identity, 1 channel": lambda batch: batch,
        "identity, 4 channels": lambda batch: batch.repeat(1, 4, 1, 1, 1),
        "2 convolutions": convolutions(device),
    }
    print("model                 overlap   MONAI s  voxloom s   ratio   largest difference")
    for name, model in models.items():
        for overlap in (0.25, 0.5):

            def monai(model: Any = model, overlap: float = overlap) -> torch.Tensor:
                inputs = image.data[None].to(device)
                with torch.no_grad():
                    whole = sliding_window_inference(inputs, 96, 4, model, overlap, "gaussian")
                return torch.as_tensor(whole)[0].cpu()

            def ours(model: Any = model, overlap: float = overlap) -> torch.Tensor:
                result: ScalarImage = infer(
                    model, image, 96, overlap, batch_size=4, device=device, progress=False
                )
                return result.data

            apart = float((monai() - ours()).abs().max())
            pairs = [(seconds(monai), seconds(ours)) for _ in range(rounds)]
            theirs, mine = (statistics.median(times) for times in zip(*pairs, strict=True))
            ratio = statistics.median(mine / theirs for theirs, mine in pairs)
            print(
                f"{name:22} {overlap:6.2f} {theirs:9.2f} {mine:10.2f} {ratio:7.2f} {apart:12.1e}",
                flush=True,
            )


def convolutions(device: torch.device) -> torch.nn.Module:
    torch.manual_seed(0)
    return (
        torch.nn.Sequential(
            torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 2, 1)
        )
        .to(device)
        .eval()
    )


class Waves(VolumeSource):
    """A volume that is computed where it is read."""

    reads_regions = True
    path = None

    def __init__(self, length: int) -> None:
        self.shape = (1, length, length, length)
        self.dtype = np.dtype(np.float32)
        self.space = Space((length, length, length), np.eye(4))

    def read(self, box: Box | None = None) -> Array:
        box = box or Box((0, 0, 0), self.spatial_shape)
        i, j, k = (
            np.sin(np.arange(a, b, dtype=np.float32) / 50)
            for a, b in zip(box.index_ini, box.index_fin, strict=True)
        )
        return np.asarray((i[:, None, None] + j[:, None] + k)[None])


def report_large(length: int = 1024) -> None:
    image = ScalarImage.from_source(Waves(length))
    for name in ("large.zarr", "large.nii"):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            result = infer(lambda batch: 2 * batch, image, 128, 0.25, out=Path(folder) / name)
            taken = time.perf_counter() - start
            box = Box((500, 500, 500), (520, 530, 540))
            apart = np.abs(result.read(box) - 2 * image.read(box)).max()
            # The peak of the process so far, so that the second line counts for both.
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
            print(
                f"{name}: {length}^3 in {taken:.0f} s, peak {peak:.2f} GiB, "
                f"largest difference {apart:.1e}",
                flush=True,
            )


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
