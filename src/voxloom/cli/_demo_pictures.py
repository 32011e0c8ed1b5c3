"""The pictures of ``voxloom demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

import voxloom as tio
from voxloom import view
from voxloom.cli._demo_training import TISSUES, Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(
    subject: tio.Subject, slab: tio.Subject, mosaic: dict[str, Any], seen: Training
) -> dict[str, Figure]:
    """Return the figures by name."""
    tissues = {label: name for label, name in TISSUES.items() if label}
    centres = torch.cat(seen.locations).numpy()
    return {
        "subject": view.plot_subject(subject, label_names=tissues),
        "centres": view.plot_centres(subject, centres, label_names=TISSUES),
        "patches": view.plot_batch(mosaic, label_names=tissues),
        "queue": view.plot_timeline(seen.timeline),
        "loss": view.plot_curve(seen.losses, "cross-entropy"),
        "prediction": view.plot_comparison(slab, ["truth", "prediction"], label_names=tissues),
    }


def save(pictures: dict[str, Figure], folder: Path) -> list[Path]:
    """Write all figures as PNG and return where they are."""
    files = [folder / f"{name}.png" for name in pictures]
    for file, figure in zip(files, pictures.values(), strict=True):
        figure.savefig(file)
    return files
