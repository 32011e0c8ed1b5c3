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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(ranks.SUBJECTS):
        voxels = np.arange(512, dtype=np.float32).reshape(1, 8, 8, 8) + 1000 * number
        np.save(tmp_path / f"{number}.npy", voxels)
    for name in ("marks", "others"):
        (tmp_path / name).mkdir()
    return tmp_path


def launch(world: int, kind: str, folder: Path) -> dict[str, Any]:
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc-per-node", str(world), str(SCRIPT), kind),
        *(str(folder), str(folder / "marks"), str(folder / "state.json")),
    ]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=110, env=settings)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads((folder / f"{kind}-{world}.json").read_text())
    return found


def in_turn(steps: list[Any]) -> list[Any]:
    """Return the patches of all ranks, one of each in turn, as one process would give them."""
    streams = [[patch for batch in rank for patch in zip(*batch, strict=True)] for rank in steps]
    return [list(patch) for row in zip(*streams, strict=True) for patch in row]


def alone(folder: Path, seed: int) -> list[Any]:
    queue = ranks.make(folder, folder / "others", lanes=4, seed=seed)
    return in_turn([[ranks.show(batch) for batch in queue.batches(1)]])


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_together_give_what_one_process_gives(folder: Path, world: int) -> None:
    found = launch(world, "whole", folder)
    assert len({len(rank) for rank in found["steps"]}) == 1
    assert in_turn(found["steps"]) == alone(folder, found["seed"])
    decoded = sum(path.stat().st_size for path in (folder / "marks").iterdir())
    assert ranks.SUBJECTS <= decoded <= 1.2 * ranks.SUBJECTS


def test_a_run_goes_on_with_another_number_of_ranks(folder: Path) -> None:
    begun = launch(4, "stop", folder)
    rest = launch(2, "resume", folder)
    together = in_turn(begun["steps"]) + in_turn(rest["steps"])
    assert together == alone(folder, begun["seed"])


def test_a_distributed_sampler_deals_the_subjects_out(folder: Path) -> None:
    steps = launch(2, "sampler", folder)["steps"]
    shares = [Counter(n for numbers, _, _ in rank for n in numbers) for rank in steps]
    assert not set(shares[0]) & set(shares[1])
    assert shares[0] + shares[1] == Counter(dict.fromkeys(range(ranks.SUBJECTS), ranks.SAMPLES))
