"""A loop of Accelerate that saves its state in the middle of an epoch, and one that goes on."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.adapters import PatchLoader


def train(folder: Path, name: str) -> Accelerator:
    """Train for an epoch and save after the first step; or for what is left of it, if saved."""
    accelerator = Accelerator(cpu=True)
    images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(6)]
    subjects = [Subject(t1=image, number=n) for n, image in enumerate(images)]
    queue = Queue(SubjectsDataset(subjects), 24, 4, UniformSampler(4), seed=1)
    model = torch.nn.Linear(64, 1)
    loader = PatchLoader(queue, batch_size=3, device=accelerator.device)
    model, optimizer, same = accelerator.prepare(
        model, torch.optim.SGD(model.parameters(), 0.1), loader
    )
    assert same is loader
    accelerator.register_for_checkpointing(loader)
    state = folder / "state"
    if name == "resumed":
        accelerator.load_state(str(state))
    seen = []
    for step, batch in enumerate(loader):
        accelerator.backward(model(batch["t1"]["data"].flatten(1)).mean())
        optimizer.step()
        seen.append([batch["number"].tolist(), batch["location"].tolist()])
        if name == "first" and step == 0:
            accelerator.save_state(str(state))
    (folder / f"{name}-{accelerator.process_index}.json").write_text(json.dumps(seen))
    accelerator.wait_for_everyone()  # a rank that leaves early takes the other's connection along
    return accelerator


def main(folder: Path) -> None:
    train(folder, "first")
    train(folder, "resumed").end_training()


if __name__ == "__main__":
    from leaving import leave

    main(Path(sys.argv[1]))
    leave()
