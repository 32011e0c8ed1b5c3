"""Ranks of torchrun, gathered over gloo: together they give what one process gives."""

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:batches of")
SCRIPT = Path(__file__).parent / "scripts" / "queue_ranks.py"
SPEC = importlib.util.spec_from_file_location("queue_ranks", SCRIPT)
assert SPEC is not None
assert SPEC.loader is not None
ranks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(ranks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where ranks wrote what each was given: four that stop, then two that go on."""
    folder = tmp_path_factory.mktemp("ranks")
    for number in range(ranks.SUBJECTS):
        voxels = np.arange(512, dtype=np.float32).reshape(1, 8, 8, 8) + 1000 * number
        np.save(folder / f"{number}.npy", voxels)
    (folder / "marks-alone").mkdir()
    launch(4, folder, "whole", "stop")
    launch(2, folder, "whole", "resume", "sampler", "late")
    return folder


def launch(world: int, folder: Path, *kinds: str) -> None:
    """Do several things in the same processes: each start of one costs seconds."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(world), str(SCRIPT), str(folder), *kinds),
    ]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=110, env=settings)
    assert ran.returncode == 0, ran.stderr


def read(folder: Path, kind: str, world: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{kind}-{world}.json").read_text())
    return found


def in_turn(steps: list[Any]) -> list[Any]:
    """Return the patches of all ranks, one of each in turn, as one process would give them."""
    streams = [[patch for batch in rank for patch in zip(*batch, strict=True)] for rank in steps]
    return [list(patch) for row in zip(*streams, strict=True) for patch in row]


def alone(folder: Path, seed: int) -> list[Any]:
    queue = ranks.make(folder, folder / "marks-alone", lanes=4, seed=seed)
    return in_turn([[ranks.show(batch) for batch in queue.batches(1)]])


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_give_what_one_process_gives(folder: Path, world: int) -> None:
    found = read(folder, "whole", world)
    assert len({len(rank) for rank in found["steps"]}) == 1
    assert in_turn(found["steps"]) == alone(folder, found["seed"])
    decoded = sum(path.stat().st_size for path in (folder / f"marks-whole-{world}").iterdir())
    assert ranks.SUBJECTS <= decoded <= 1.2 * ranks.SUBJECTS


def test_a_run_goes_on_with_another_number_of_ranks(folder: Path) -> None:
    begun = read(folder, "stop", 4)
    rest = read(folder, "resume", 2)
    together = in_turn(begun["steps"]) + in_turn(rest["steps"])
    assert together == alone(folder, begun["seed"])


def test_ranks_that_could_not_talk_when_their_workers_began_agree_later(folder: Path) -> None:
    found = read(folder, "late", 2)
    numbers = Counter(n for rank in found["steps"] for numbers, _, _ in rank for n in numbers)
    assert numbers == Counter(dict.fromkeys(range(ranks.SUBJECTS), ranks.SAMPLES))


def test_a_distributed_sampler_deals_the_subjects_out(folder: Path) -> None:
    steps = read(folder, "sampler", 2)["steps"]
    shares = [Counter(n for numbers, _, _ in rank for n in numbers) for rank in steps]
    assert not set(shares[0]) & set(shares[1])
    assert shares[0] + shares[1] == Counter(dict.fromkeys(range(ranks.SUBJECTS), ranks.SAMPLES))
