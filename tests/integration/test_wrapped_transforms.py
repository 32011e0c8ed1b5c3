"""What MONAI's and TorchIO's transforms draw does not depend on who calls them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import monai.transforms
import numpy as np
import pytest
import torch
import torchio

from voxloom import LabelMap, Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.adapters import monai as monai_adapter
from voxloom.adapters import torchio as torchio_adapter
from voxloom.transforms import canonical, chain

IMAGES = ["t1", "seg"]
BY_MONAI = monai_adapter.wrap(
    monai.transforms.Compose(
        [
            monai.transforms.RandAffined(IMAGES, prob=1, rotate_range=0.3, mode="nearest"),
            monai.transforms.RandGaussianNoised(["t1"], prob=1),
        ]
    )
)
BY_TORCHIO = torchio_adapter.wrap(
    torchio.Compose([torchio.RandomAffine(), torchio.RandomNoise(std=5)])
)


@pytest.mark.parametrize("way", ["alone", "partial", "chain"])
@pytest.mark.parametrize("transform", [BY_MONAI, BY_TORCHIO], ids=["monai", "torchio"])
def test_threads_are_refused(transform: Callable[[Subject], Subject], way: str) -> None:
    wrapped: dict[str, Any] = {
        "alone": transform, "partial": partial(transform), "chain": chain(canonical, transform),
    }  # fmt: skip
    voxels = np.zeros((1, 8, 8, 8), np.float32)
    dataset = SubjectsDataset([Subject(t1=ScalarImage(tensor=voxels))])
    options: dict[str, Any] = {"sampler": UniformSampler(4), "num_workers": 2}
    message = "seeds the global generators that the trainer draws from.*executor='processes'"
    with pytest.raises(RuntimeError, match=message):
        Queue(dataset, 4, 2, executor="threads", patch_transform=wrapped[way], **options)
    dataset.set_transform(wrapped[way])
    with pytest.raises(RuntimeError, match=message):
        Queue(dataset, 4, 2, executor="threads", **options)


@pytest.mark.parametrize(
    ("transform", "most"), [(BY_MONAI, 1), (BY_TORCHIO, 2)], ids=["monai", "torchio"]
)
def test_patches_do_not_depend_on_workers(
    transform: Callable[[Subject], Subject], most: int
) -> None:
    voxels = np.random.default_rng(0).normal(size=(1, 16, 16, 16)).astype(np.float32)
    subject = Subject(t1=ScalarImage(tensor=voxels), seg=LabelMap(tensor=voxels > 0))
    dataset = SubjectsDataset([subject] * 3, transform)
    batches = []
    for workers in (0, most):
        torch.manual_seed(workers)
        sampler = UniformSampler(8)
        with Queue(
            dataset, 6, 2, sampler, num_workers=workers, patch_transform=transform, seed=1
        ) as queue:
            batches.append(next(queue.batches(6)))
    for name in IMAGES:
        for part in ("data", "affine"):
            assert torch.equal(batches[0][name][part], batches[1][name][part])
    assert len({float(patch.sum()) for patch in batches[0]["t1"]["data"]}) == 6
