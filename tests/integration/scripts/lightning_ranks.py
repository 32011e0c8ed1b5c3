"""Two ranks that Lightning starts itself, with queues that were made before there were ranks."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.adapters import PatchLoader


class Model(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 1)
        self.seen: list[Any] = []

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        numbers, places = batch["number"].tolist(), batch["location"].tolist()
        self.seen.append([self.current_epoch, index, numbers, places])
        return self.layer(batch["t1"]["data"].flatten(1)).mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class PlainModule(lightning.LightningDataModule):
    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)  # all queues, on both ranks, are of one seed
        images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(6)]
        subjects = [Subject(t1=image, number=n) for n, image in enumerate(images)]
        dataset = SubjectsDataset(subjects)
        self.queue = Queue(dataset, 24, 4, UniformSampler(4), num_workers=int(kind == "workers"))
        self.kind = kind

    def train_dataloader(self) -> Any:
        if self.kind == "plain":
            return DataLoader(self.queue, batch_size=4)
        return PatchLoader(self.queue, batch_size=4)

    def state_dict(self) -> dict[str, Any]:
        return self.queue.state_dict() if self.kind == "plain" else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.queue.load_state_dict(state_dict)


def train(data: PlainModule, name: str, folder: Path, checkpoint: Path | None = None) -> None:
    """Train for two epochs, or for what a checkpoint leaves of them, and tell what was seen."""
    torch.manual_seed(0)
    model, keep = Model(), ModelCheckpoint(folder / name, every_n_train_steps=1, save_top_k=-1)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=2,
        strategy="ddp",
        max_epochs=2,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    data.queue.close()
    (folder / f"{name}-{trainer.global_rank}.json").write_text(json.dumps(model.seen))
    trainer.strategy.barrier()  # the first rank ends the test, which reads what both wrote
    os.environ.setdefault("LOCAL_RANK", "0")  # the other rank is there: none is started again


def main(folder: Path) -> None:
    whole = {kind: PlainModule(kind) for kind in ("workers", "loader", "plain")}
    rest = {kind: PlainModule(kind) for kind in ("loader", "plain")}
    for kind, data in whole.items():
        train(data, kind, folder)
    for kind, data in rest.items():
        train(data, f"{kind}-rest", folder, next((folder / kind).glob("*step=4.ckpt")))


if __name__ == "__main__":
    from leaving import leave

    main(Path(sys.argv[1]))
    leave()
