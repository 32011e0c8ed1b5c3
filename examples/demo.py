"""Train a small 3D U-Net to find grey and white matter, and show how the queue fed it.

Ten times the MNI152 template stands for ten patients: enough to see everything at work in two
minutes on two cores, and by no means a network for real images.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import torch
from monai.networks.nets import UNet
from torch.utils.data import DataLoader
from tqdm import tqdm

import voxloom as tio
from voxloom import view

TISSUES = {0: "background", 1: "grey matter", 2: "white matter"}
SUBJECTS = 10
PATCHES_A_SUBJECT = 8
QUEUE_LENGTH = 40
BATCH_SIZE = 4


class Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong."""

    def error(self, message: str) -> NoReturn:
        """Print the sentence and leave with status 2."""
        self.exit(2, f"demo: {message}\n")


def parse_arguments() -> argparse.Namespace:
    """Return what was asked for on the command line."""
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=50, help="training steps (default: 50)")
    parser.add_argument("--workers", type=int, default=2, help="processes that load (default: 2)")
    parser.add_argument("--patch-size", type=int, default=64, help="a multiple of 8 (default: 64)")
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="for the pictures")
    asked = parser.parse_args()
    if asked.steps < 1:
        parser.error(f"--steps is 1 or more, got {asked.steps}")
    if not 0 <= asked.workers <= 64:
        parser.error(f"--workers is from 0 to 64, got {asked.workers}")
    if asked.patch_size % 8 or not 16 <= asked.patch_size <= 128:
        parser.error(f"--patch-size is a multiple of 8 from 16 to 128, got {asked.patch_size}")
    try:
        asked.output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--output {str(asked.output)!r} cannot be made a folder: {error.strerror}")
    return asked


def make_subject() -> tio.Subject:
    """Return the template: a T1-weighted image and the tissue of each voxel."""
    template = tio.datasets.MNI152()
    return tio.Subject(t1=template.t1, tissues=template.tissues)


def make_queue(subject: tio.Subject, patch_size: int, workers: int) -> tio.Queue:
    """Return a queue of patches, a third of them centred on each tissue."""
    dataset = tio.SubjectsDataset(SUBJECTS * [subject])
    sampler = tio.LabelSampler(patch_size, "tissues", {0: 1, 1: 1, 2: 1})
    return tio.Queue(dataset, QUEUE_LENGTH, PATCHES_A_SUBJECT, sampler, num_workers=workers)


def make_model() -> torch.nn.Module:
    """Return a small 3D U-Net: one channel in, one score for each tissue out."""
    layers = {"channels": (12, 24, 48), "strides": (2, 2), "num_res_units": 1}
    # Not instance normalisation, the default: brightness tells tissues apart.
    return UNet(3, 1, len(TISSUES), norm="batch", **layers)


def train(queue: tio.Queue, model: torch.nn.Module, steps: int) -> Training:
    """Train for some steps, as many epochs as that takes; return what was seen."""
    loader = DataLoader(queue, batch_size=BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seen = Training(queue)
    with tqdm(total=steps, desc="training", unit="step") as bar:
        while len(seen.losses) < steps:
            for batch in seen.timeline.watch(loader):
                seen.note(batch, train_step(model, optimizer, batch))
                schedule.step()
                bar.set_postfix(loss=f"{seen.losses[-1]:.3f}", refresh=False)
                bar.update()
                if len(seen.losses) == steps:
                    break
    return seen


class Training:
    """What was seen while training: losses, places of patches, how the queue fared."""

    def __init__(self, queue: tio.Queue) -> None:
        self.timeline = view.QueueTimeline(queue)
        self.losses: list[float] = []
        self.locations: list[torch.Tensor] = []

    def note(self, batch: dict, loss: float) -> None:
        """Keep what the pictures need."""
        self.losses.append(loss)
        self.locations.append(batch[tio.LOCATION])


def train_step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: dict) -> float:
    """Take one step; return the loss before it."""
    scores = model(as_input(batch["t1"][tio.DATA]))
    loss = torch.nn.functional.cross_entropy(scores, batch["tissues"][tio.DATA][:, 0].long())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def as_input(voxels: torch.Tensor) -> torch.Tensor:
    """Return 8-bit voxels as the network takes them, 0 to 1. Patches travel four times smaller."""
    return voxels.float() / 255


@torch.inference_mode()
def predict(model: torch.nn.Module, subject: tio.Subject, patch_size: int) -> tio.Subject:
    """Return a slab of the subject, with the prediction joined from overlapping patches."""
    width, height, depth = subject.spatial_shape
    cutter = tio.UniformSampler((width, height, patch_size))
    slab = cutter.extract_patch(subject, (0, 0, (depth - patch_size) // 2))
    overlap = patch_size // 4
    grid = tio.GridSampler(slab, patch_size, (overlap, overlap, 0))
    aggregator = tio.GridAggregator(grid, overlap_mode="average")
    model.eval()
    for batch in DataLoader(grid, batch_size=BATCH_SIZE):
        aggregator.add_batch(model(as_input(batch["t1"][tio.DATA])), batch[tio.LOCATION])
    labels = aggregator.get_output_tensor().argmax(dim=0, keepdim=True)
    prediction = tio.LabelMap(tensor=labels, affine=slab.t1.affine)
    return slab.replace(truth=slab.tissues, prediction=prediction)


def draw_pictures(
    subject: tio.Subject, slab: tio.Subject, mosaic: dict, seen: Training
) -> dict[str, Any]:
    """Return the figures by name."""
    tissues = {label: name for label, name in TISSUES.items() if label}
    return {
        "subject": view.plot_subject(subject, label_names=tissues),
        "centres": view.plot_centres(subject, torch.cat(seen.locations), label_names=TISSUES),
        "patches": view.plot_batch(mosaic, label_names=tissues),
        "queue": view.plot_timeline(seen.timeline),
        "loss": view.plot_curve(seen.losses, "cross-entropy"),
        "prediction": view.plot_comparison(slab, ["truth", "prediction"], label_names=tissues),
    }


def save_pictures(pictures: dict[str, Any], folder: Path) -> None:
    """Write all figures and say where they are."""
    print("\nPictures:")
    for name, figure in pictures.items():
        path = folder / f"{name}.png"
        figure.savefig(path)
        print(f"  {path}")


def print_summary(seen: Training) -> None:
    """Say how the training went and how the queue did."""
    few = min(5, len(seen.losses))
    first, last = sum(seen.losses[:few]) / few, sum(seen.losses[-few:]) / few
    seconds = seen.timeline.elapsed_s
    patches = sum(len(locations) for locations in seen.locations)
    print(f"loss: {first:.3f} (first {few} steps) -> {last:.3f} (last {few} steps)")
    print(f"patches: {patches} in {seconds:.1f} s, {patches / seconds:.1f} a second")
    print(f"waiting for patches: {seen.timeline.waited_s / seconds:.1%} of the time")


def main() -> None:
    """Make the subject, the queue and the network; train; show."""
    asked = parse_arguments()
    start = time.perf_counter()
    torch.manual_seed(0)
    torch.set_num_threads(max(1, torch.get_num_threads() - 1))  # one core is left to the workers
    subject = make_subject()
    with make_queue(subject, asked.patch_size, asked.workers) as queue:
        print(f"{queue}\n{queue.memory()}")
        model = make_model()
        seen = train(queue, model, asked.steps)
        mosaic = next(queue.batches(12))
    print_summary(seen)
    slab = predict(model, subject, asked.patch_size)
    save_pictures(draw_pictures(subject, slab, mosaic, seen), asked.output)
    print(f"\nAll in {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("demo: stopped")
