"""Lightning's own Trainer over a queue: every epoch exact, every step a place to go on from."""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import DataLoader

from voxloom import (
    GridSampler,
    Queue,
    ScalarImage,
    Subject,
    SubjectsDataset,
    UniformSampler,
)
from voxloom._errors import QueueError
from voxloom.adapters import PatchLoader
from voxloom.adapters.lightning import PatchDataModule

SUBJECTS = [
    Subject(t1=ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)), number=n) for n in range(6)
]


def make_queue() -> Queue:
    return Queue(SubjectsDataset(SUBJECTS), 8, 4, UniformSampler(4), seed=1)


class Model(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(64, 1)
        self.seen: list[Any] = []
        self.validated = 0

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.seen.append(
            (self.current_epoch, index, batch["number"].tolist(), batch["location"].tolist())
        )
        return self.layer(batch["t1"]["data"].flatten(1)).mean()

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.validated += len(batch["location"])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class PlainModule(lightning.LightningDataModule):
    def __init__(self, loader: Any) -> None:
        super().__init__()
        self.loader = loader

    def train_dataloader(self) -> Any:
        return self.loader


def train(data: Any, *, resume: Path | None = None, **settings: Any) -> Model:
    model = Model()
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    settings = {"max_epochs": 3, "enable_checkpointing": "callbacks" in settings, **settings}
    trainer = lightning.Trainer(accelerator="cpu", devices=1, **quiet, **settings)
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, UserWarning):  # Lightning's own
            warnings.simplefilter("ignore", category)
        trainer.fit(model, datamodule=data, ckpt_path=resume)
    return model


def count(seen: list[Any], epoch: int) -> list[int]:
    numbers = [n for at, _, batch, _ in seen if at == epoch for n in batch]
    return np.bincount(numbers, minlength=len(SUBJECTS)).tolist()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Any]]:
    """Return checkpoints after each step of three epochs, and what the run saw."""
    folder = tmp_path_factory.mktemp("checkpoints")
    keep = ModelCheckpoint(folder, every_n_train_steps=1, save_top_k=-1, filename="{step}")
    return folder, train(PatchDataModule(make_queue, 5), callbacks=[keep]).seen


def test_every_epoch_has_each_subject_as_often_as_asked(saved: tuple[Path, list[Any]]) -> None:
    _, seen = saved
    assert len(seen) == 15
    assert [count(seen, epoch) for epoch in range(3)] == [[4] * 6] * 3
    assert seen[:5] != [(0, *rest) for _, *rest in seen[5:10]]


@pytest.mark.parametrize("step", [1, 4, 5, 6, 10, 13])
def test_a_run_goes_on_after_any_step(saved: tuple[Path, list[Any]], step: int) -> None:
    folder, seen = saved
    resumed = train(PatchDataModule(make_queue, 5), resume=folder / f"step={step}.ckpt")
    assert resumed.seen == seen[step:]


def test_a_plain_data_module_resumes_with_the_loader(saved: tuple[Path, list[Any]]) -> None:
    folder, seen = saved
    loader = PatchLoader(make_queue(), 5)
    assert train(PlainModule(loader), resume=folder / "step=7.ckpt").seen == seen[7:]


def test_a_plain_data_loader_gives_the_same_patches(saved: tuple[Path, list[Any]]) -> None:
    _, seen = saved
    assert train(PlainModule(DataLoader(make_queue(), batch_size=5))).seen == seen


@pytest.mark.parametrize("step", [4, 5, 7])
def test_a_plain_data_loader_resumes_with_the_state_in_the_data_module(
    saved: tuple[Path, list[Any]], tmp_path: Path, step: int
) -> None:
    class Stateful(PlainModule):
        def state_dict(self) -> dict[str, Any]:
            return self.loader.dataset.state_dict()

        def load_state_dict(self, state_dict: dict[str, Any]) -> None:
            self.loader.dataset.load_state_dict(state_dict)

    def make_data() -> Stateful:
        return Stateful(DataLoader(make_queue(), batch_size=5))

    keep = ModelCheckpoint(tmp_path, every_n_train_steps=step, save_top_k=-1, filename="{step}")
    train(make_data(), callbacks=[keep], max_steps=step)
    _, seen = saved
    assert train(make_data(), resume=tmp_path / f"step={step}.ckpt").seen == seen[step:]


def test_limited_epochs_begin_where_whole_ones_do(saved: tuple[Path, list[Any]]) -> None:
    _, seen = saved
    limited = train(PatchDataModule(make_queue, 5), limit_train_batches=2).seen
    assert limited == [*seen[0:2], *seen[5:7], *seen[10:12]]


def test_validation_may_go_over_a_queue_of_a_grid() -> None:
    def make_grid() -> Queue:
        return Queue(SubjectsDataset(SUBJECTS), 8, 1, GridSampler(patch_size=4), seed=1)

    model = train(PatchDataModule(make_queue, 5, make_grid), max_epochs=1, num_sanity_val_steps=0)
    assert model.validated == 6 * 8


def test_the_queue_lives_from_setup_to_teardown() -> None:
    module = PatchDataModule(make_queue, 5)
    with pytest.raises(QueueError, match=r"has no queue yet; call setup\('fit'\)"):
        _ = module.queue
    module.setup("fit")
    assert len(module.queue) == 24
    module.teardown("fit")
    with pytest.raises(QueueError, match="has no queue yet"):
        module.train_dataloader()
