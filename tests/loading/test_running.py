"""Finished patches say where they lie; those of a grid, where its aggregator expects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from voxloom import GridAggregator, GridSampler, Queue, ScalarImage, Subject, SubjectsDataset

WAYS: dict[str, Callable[[Queue], Any]] = {
    "DataLoader": lambda queue: DataLoader(queue, batch_size=4),
    "batches": lambda queue: queue.batches(4),
    "iteration": lambda queue: DataLoader([*queue], batch_size=4),
}


def numbered() -> Subject:
    voxels = np.arange(8 * 9 * 3, dtype=np.float32).reshape(1, 8, 9, 3)
    return Subject(t1=ScalarImage(tensor=voxels, affine=np.diag([2.0, 2.0, 3.0, 1.0])))


def same(patch: Subject) -> Subject:
    assert patch["location"].min() >= 0  # what `sampler(subject)` gives
    return patch


@pytest.mark.parametrize("padding_mode", [None, "constant", "edge", -3])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "options",
    [{}, {"num_workers": 1}, {"patch_transform": same}],
    ids=lambda options: " ".join(options),
)
def test_patches_of_a_grid_are_joined_again(
    padding_mode: Any, way: str, options: dict[str, Any]
) -> None:
    size = 4 if padding_mode is not None else (4, 4, 3)  # padding also makes up for a flat volume
    sampler = GridSampler(patch_size=size, patch_overlap=2, padding_mode=padding_mode)
    options = {"executor": "threads", **options} if options.get("num_workers") else options
    subject = numbered()
    with Queue(SubjectsDataset([subject]), 6, 1, sampler, seed=0, **options) as queue:
        grid = GridSampler(subject, size, 2, padding_mode)
        assert len(queue) == len(grid)
        aggregator = GridAggregator(grid)
        affines = {tuple(patch["location"].tolist()): patch.t1.affine for patch in grid}
        for batch in WAYS[way](queue):
            aggregator.add_batch(batch["t1"]["data"], batch["location"])
            assert torch.equal(batch["index_ini"], batch["location"][:, :3])
            for place, affine in zip(batch["location"], batch["t1"]["affine"], strict=True):
                assert np.allclose(affine, affines[tuple(place.tolist())])
    assert torch.equal(aggregator.get_output_tensor(), subject.t1.data)
