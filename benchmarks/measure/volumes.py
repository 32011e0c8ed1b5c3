"""Volumes for the benchmarks: brain-like, made once in a folder, the same on every machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure.workload import Workload

# Semi-axes of the nested shapes as shares of the half volume, outermost first, with the mean
# intensity of each: skull and scalp, grey matter, white matter, ventricles.
SHAPES = ((0.90, 350.0), (0.78, 620.0), (0.58, 860.0), (0.22, 240.0))
AIR, NOISE = 12.0, 14.0
RECIPE = 1


def make_volumes(folder: Path, workload: Workload) -> list[tuple[Path, Path]]:
    """Return (image, label map) of every subject, writing those that the folder lacks.

    The image is int16 with noise that gzip halves, as it does to a real T1; the label map
    is uint8 with four nested labels on background 0. Both are ``.nii.gz``. The folder of
    one recipe and shape is used again by later runs.
    """
    shape = workload.spatial_shape
    home = folder / f"recipe{RECIPE}-{'x'.join(map(str, shape))}"
    home.mkdir(parents=True, exist_ok=True)
    pairs = []
    for number in range(workload.subjects):
        image = home / f"subject{number:03d}_t1.nii.gz"
        labels = home / f"subject{number:03d}_seg.nii.gz"
        if not (image.exists() and labels.exists()):
            intensities, classes = _draw_subject(shape, number)
            _write_whole(labels, classes)
            _write_whole(image, intensities)
        pairs.append((image, labels))
    return pairs


def describe_volumes(pairs: list[tuple[Path, Path]], workload: Workload) -> str:
    """Say in one line how large the volumes are on disk and in memory."""
    image = np.mean([pair[0].stat().st_size for pair in pairs]) / 1e6
    labels = np.mean([pair[1].stat().st_size for pair in pairs]) / 1e6
    voxels = int(np.prod(workload.spatial_shape))
    return (
        f"{len(pairs)} subjects {'x'.join(map(str, workload.spatial_shape))}: int16 image "
        f"{image:.3g} MB of {2 * voxels / 1e6:.3g}, uint8 label map {labels:.2g} of "
        f"{voxels / 1e6:.3g}"
    )


def _draw_subject(
    shape: tuple[int, int, int], number: int
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Draw one head: wavy nested ellipsoids, a slow bias field, Rician noise."""
    rng = np.random.Generator(np.random.Philox(key=[RECIPE, number]))
    x, y, z = (
        axis.astype(np.float32)
        for axis in np.meshgrid(
            *(np.linspace(-1, 1, size, dtype=np.float32) for size in shape),
            indexing="ij",
            sparse=True,
        )
    )
    phase = rng.uniform(0, 2 * np.pi, 3).astype(np.float32)
    stretch = rng.uniform(0.92, 1.08, 3).astype(np.float32)
    waves = np.sin(9 * x + phase[0]) * np.sin(9 * y + phase[1]) * np.sin(9 * z + phase[2])
    radius = np.sqrt((x / stretch[0]) ** 2 + (y / stretch[1]) ** 2 + (z / stretch[2]) ** 2)
    radius += 0.05 * waves
    classes = np.zeros(shape, np.uint8)
    signal = np.full(shape, AIR, np.float32)
    for label, (size, mean) in enumerate(SHAPES, start=1):
        inside = radius < size
        classes[inside] = label
        signal[inside] = mean
    signal *= 1 + 0.2 * np.sin(1.5 * x + phase[1]) * np.cos(1.5 * y + phase[2])
    real = signal + NOISE * rng.standard_normal(shape, np.float32)
    imaginary = NOISE * rng.standard_normal(shape, np.float32)
    return np.rint(np.hypot(real, imaginary)).astype(np.int16), classes


def _write_whole(path: Path, voxels: NDArray[np.int16] | NDArray[np.uint8]) -> None:
    """Write under another name first, so that a stopped run leaves no half file."""
    import nibabel

    partial = path.with_name(f"{os.getpid()}-{path.name}")
    nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), partial)
    partial.replace(path)


def save_manifest(folder: Path, pairs: list[tuple[Path, Path]]) -> Path:
    """Write the paths as JSON, for the processes that measure."""
    manifest = folder / f"pairs-{len(pairs)}-{os.getpid()}.json"
    manifest.write_text(json.dumps([[str(image), str(labels)] for image, labels in pairs]))
    return manifest


def load_manifest(manifest: str) -> list[tuple[Path, Path]]:
    return [(Path(image), Path(labels)) for image, labels in json.loads(Path(manifest).read_text())]
