"""Two workers of Ray Train share every epoch of a queue that each of them makes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.adapters import PatchLoader

ray = pytest.importorskip("ray")
pytest.importorskip("ray.train.torch")


def train(config: dict[str, Any]) -> None:
    import ray.train

    images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(6)]
    subjects = [Subject(t1=image, number=n) for n, image in enumerate(images)]
    queue = Queue(SubjectsDataset(subjects), 8, 2, UniformSampler(4))
    seen = [[n for batch in PatchLoader(queue, 2) for n in batch["number"].tolist()] for _ in "ab"]
    rank = ray.train.get_context().get_world_rank()
    (Path(config["folder"]) / f"{rank}.json").write_text(json.dumps([queue.seed, seen]))


@pytest.mark.filterwarnings("ignore")
def test_workers_of_ray_agree_on_a_seed_and_share_every_epoch(tmp_path: Path) -> None:
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR")
    try:
        TorchTrainer(
            train,
            train_loop_config={"folder": str(tmp_path)},
            scaling_config=ScalingConfig(num_workers=2),
            run_config=RunConfig(storage_path=str(tmp_path / "ray")),
        ).fit()
    finally:
        ray.shutdown()
    (seed, first), (same, second) = (
        json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)
    )
    assert seed == same
    for one, other in zip(first, second, strict=True):
        assert len(one) == len(other) == 6
        assert sorted(one + other) == sorted(2 * list(range(6)))
