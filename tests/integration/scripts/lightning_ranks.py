"""Two ranks that Lightning starts itself, with a queue that was made before there were ranks."""

import json
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


def main(kind: str, folder: Path) -> None:
    torch.manual_seed(0)
    model, keep = Model(), ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1)
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
    data = PlainModule(kind)
    checkpoint = next(folder.glob("*step=4.ckpt"), None)
    trainer.fit(model, datamodule=data, ckpt_path=checkpoint)
    data.queue.close()
    (folder / f"{kind}-{trainer.global_rank}.json").write_text(json.dumps(model.seen))
    trainer.strategy.barrier()  # the first rank ends the test, which reads what both wrote


if __name__ == "__main__":
    from leaving import leave

    main(sys.argv[1], Path(sys.argv[2]))
    leave()
