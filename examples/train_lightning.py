"""Train with Lightning, stop in the middle of an epoch, and go on from the checkpoint."""

import argparse
import tempfile
from pathlib import Path

import lightning.pytorch as lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

import voxloom as tio
from voxloom.adapters.lightning import PatchDataModule


class TissueModel(lightning.LightningModule):
    """One convolution after the other, and a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Conv3d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv3d(8, 3, 1)
        )

    def training_step(self, batch: dict, batch_index: int) -> torch.Tensor:
        """Return the loss of one batch, and say where its first patch lies."""
        print(f"epoch {self.current_epoch} batch {batch_index}", batch["index_ini"][0].tolist())
        scores = self.layers(batch["t1"][tio.DATA].float() / 255)
        return torch.nn.functional.cross_entropy(scores, batch["tissues"][tio.DATA][:, 0].long())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.Adam(self.parameters(), lr=1e-2)


def make_queue() -> tio.Queue:
    """Return the queue of training patches; every rank makes its own."""
    template = tio.datasets.MNI152()
    subject = tio.Subject(t1=template.t1, tissues=template.tissues)
    dataset = tio.SubjectsDataset(4 * [subject])
    return tio.Queue(dataset, 16, 4, tio.LabelSampler(32, "tissues"), num_workers=1, seed=0)


def train(checkpoint: Path | None, **settings: int) -> Path:
    """Train, from a checkpoint if there is one; return the last that was saved."""
    keep = ModelCheckpoint(tempfile.mkdtemp(), every_n_train_steps=1, save_top_k=-1)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,  # the queue deals the patches out to the ranks
        **settings,
    )
    trainer.fit(TissueModel(), datamodule=PatchDataModule(make_queue, 4), ckpt_path=checkpoint)
    return Path(keep.best_model_path)


def main() -> None:
    """Train two of four steps, then the rest from the checkpoint."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    train(train(None, max_steps=2), max_steps=6)


if __name__ == "__main__":
    main()
