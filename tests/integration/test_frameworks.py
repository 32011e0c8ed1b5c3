"""Lightning and Accelerate over a queue on several ranks, each with the real library."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import Accelerator
from accelerate.data_loader import prepare_data_loader
from torch.utils.data import DataLoader

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler

SCRIPTS = Path(__file__).parent / "scripts"


def run(script: str, *arguments: str, launcher: tuple[str, ...] = ()) -> None:
    command = [sys.executable, *launcher, str(SCRIPTS / script), *arguments]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=110, env=settings, check=False
    )
    assert finished.returncode == 0, finished.stderr


def read(folder: Path, kind: str, ranks: int = 2) -> list[list[Any]]:
    return [json.loads((folder / f"{kind}-{rank}.json").read_text()) for rank in range(ranks)]


def numbers(seen: list[Any], epoch: int) -> list[int]:
    return [number for at, _, batch, _ in seen if at == epoch for number in batch]


def check_shares(first: list[Any], second: list[Any]) -> None:
    for epoch in range(2):
        shares = numbers(first, epoch), numbers(second, epoch)
        assert [len(share) for share in shares] == [12, 12]
        assert sorted(shares[0] + shares[1]) == sorted(4 * list(range(6)))


@pytest.fixture(scope="module")
def lightning_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where two ranks of Lightning wrote what they saw: one start serves all tests."""
    folder = tmp_path_factory.mktemp("lightning")
    run("lightning_ranks.py", str(folder))
    return folder


@pytest.mark.parametrize("kind", ["workers", "loader", "plain"])
def test_ranks_of_lightning_share_every_epoch(kind: str, lightning_folder: Path) -> None:
    check_shares(*read(lightning_folder, kind))


@pytest.mark.parametrize("kind", ["loader", "plain"])
def test_ranks_of_lightning_go_on_in_the_middle_of_an_epoch(
    kind: str, lightning_folder: Path
) -> None:
    whole, rest = (read(lightning_folder, name) for name in (kind, f"{kind}-rest"))
    assert rest == [seen[4:] for seen in whole]


@pytest.mark.parametrize("ranks", [1, 2])
def test_accelerate_saves_and_loads_the_place_in_an_epoch(ranks: int, tmp_path: Path) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks))
    run("accelerate_ranks.py", str(tmp_path), launcher=launcher if ranks > 1 else ())
    whole, resumed = (read(tmp_path, kind, ranks) for kind in ("first", "resumed"))
    assert resumed == [seen[1:] for seen in whole]
    everything = [number for seen in whole for batch, _ in seen for number in batch]
    assert sorted(everything) == sorted(4 * list(range(6)))


def make_queue() -> Queue:
    images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(6)]
    dataset = SubjectsDataset([Subject(t1=image, number=n) for n, image in enumerate(images)])
    return Queue(dataset, 24, 4, UniformSampler(4), seed=1)


def test_accelerate_takes_a_plain_data_loader_on_one_rank() -> None:
    loader = Accelerator(cpu=True).prepare(DataLoader(make_queue(), batch_size=5))
    for _ in range(2):
        seen = [number for batch in loader for number in batch["number"].tolist()]
        assert sorted(seen) == sorted(4 * list(range(6)))


def test_a_plain_data_loader_that_accelerate_deals_out_again_says_what_to_use() -> None:
    plain = DataLoader(make_queue(), batch_size=4)
    loader = prepare_data_loader(plain, num_processes=2, process_index=0, put_on_device=False)
    list(loader)
    with pytest.raises(RuntimeError, match=r"Accelerate's prepare .* use a PatchLoader"):
        list(loader)
