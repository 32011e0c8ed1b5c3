"""The training of ``voxloom demo``: what a script of your own would hold."""

from __future__ import annotations

from typing import Any, Final

import torch
from torch.utils.data import DataLoader

import voxloom as tio
from voxloom._progress import progress_bar
from voxloom.adapters.monai import make_unet
from voxloom.view import QueueTimeline

TISSUES: Final = {0: "background", 1: "grey matter", 2: "white matter"}
_SUBJECTS: Final = 10
_PATCHES_A_SUBJECT: Final = 8
_QUEUE_LENGTH: Final = 40
_BATCH_SIZE: Final = 4


def make_subject() -> tio.Subject:
    """Return the template: a T1-weighted image and the tissue of each voxel."""
    template = tio.datasets.MNI152()
    return tio.Subject(t1=template.t1, tissues=template.tissues)


def make_queue(subject: tio.Subject, patch_size: int, workers: int) -> tio.Queue:
    """Return a queue of patches, a third of them centred on each tissue."""
    dataset = tio.SubjectsDataset(_SUBJECTS * [subject])
    sampler = tio.LabelSampler(patch_size, "tissues", {0: 1, 1: 1, 2: 1})
    return tio.Queue(
        dataset, _QUEUE_LENGTH, _PATCHES_A_SUBJECT, sampler, num_workers=workers, seed=0
    )


def make_model() -> torch.nn.Module:
    """Return a small 3D U-Net: one channel in, one score for each tissue out."""
    torch.manual_seed(0)
    # Not instance normalisation, MONAI's default: brightness tells tissues apart.
    network: torch.nn.Module = make_unet(1, len(TISSUES), (12, 24, 48), norm="batch")
    return network


class Training:
    """What was seen while training: losses, places of patches, how the queue fared."""

    def __init__(self, queue: tio.Queue) -> None:
        self.timeline = QueueTimeline(queue)
        self.losses: list[float] = []
        self.locations: list[torch.Tensor] = []

    def note(self, batch: dict[str, Any], loss: float) -> None:
        """Keep what the pictures need."""
        self.losses.append(loss)
        self.locations.append(batch[tio.LOCATION])

    def as_dict(self) -> dict[str, Any]:
        """Return the figures, ready for JSON."""
        seconds = self.timeline.elapsed_s
        patches = sum(len(locations) for locations in self.locations)
        return {
            "losses": self.losses,
            "patches": patches,
            "training_s": seconds,
            "patches_per_s": patches / seconds,
            "waiting_share": self.timeline.waited_s / seconds,
        }


def train(queue: tio.Queue, model: torch.nn.Module, steps: int) -> Training:
    """Train for some steps, as many epochs as that takes; return what was seen."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))  # one core is left to the workers
    loader = DataLoader(queue, batch_size=_BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    seen = Training(queue)
    with progress_bar(steps, "training", unit="step") as bar:
        while len(seen.losses) < steps:
            for batch in seen.timeline.watch(loader):
                seen.note(batch, _step(model, optimizer, batch))
                schedule.step()
                if bar is not None:
                    bar.set_postfix(loss=f"{seen.losses[-1]:.3f}", refresh=False)
                    bar.update()
                if len(seen.losses) == steps:
                    break
    torch.set_num_threads(threads)
    return seen


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
    for batch in DataLoader(grid, batch_size=_BATCH_SIZE):  # type: ignore[arg-type]
        aggregator.add_batch(model(_as_input(batch["t1"][tio.DATA])), batch[tio.LOCATION])
    labels = aggregator.get_output_tensor().argmax(dim=0, keepdim=True)
    prediction = tio.LabelMap(tensor=labels, affine=slab.t1.affine)
    return slab.replace(truth=slab.tissues, prediction=prediction)


def _step(model: torch.nn.Module, optimizer: torch.optim.Optimizer, batch: dict[str, Any]) -> float:
    """Take one step; return the loss before it."""
    scores = model(_as_input(batch["t1"][tio.DATA]))
    loss = torch.nn.functional.cross_entropy(scores, batch["tissues"][tio.DATA][:, 0].long())
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.item()


def _as_input(voxels: torch.Tensor) -> torch.Tensor:
    """Return 8-bit voxels as the network takes them, 0 to 1. Patches travel four times smaller."""
    return voxels.float() / 255
