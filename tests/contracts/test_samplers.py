import itertools
from typing import Any

import numpy as np
import pytest

from voxloom.geometry import Index3
from voxloom.patches import LabelSampler, PatchSampler, UniformSampler, WeightedSampler
from voxloom.subjects import SAMPLING_MAP, Image, LabelMap, ScalarImage, Subject
from voxloom.testing import check_sampler


class MiddleSampler(PatchSampler):
    """A user's sampler: within one voxel of the middle."""

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        w, h, d = subject.spatial_shape
        middle = (w - self.patch_size[0]) // 2, (h - self.patch_size[1]) // 2
        return *middle, (d - self.patch_size[2]) // 2 + int(rng.random() < 0.5)


class CountingSampler(PatchSampler):
    """Breaks the contract: places depend on how many were drawn before."""

    def __init__(self, patch_size: int) -> None:
        super().__init__(patch_size)
        self.counter = itertools.count()

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        return next(self.counter) % 3, 0, 0


class KeepingSampler(PatchSampler):
    """Breaks the contract: keeps the last subject."""

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        self.last = subject
        return 0, 0, 0

    def __getstate__(self) -> dict[str, Any]:
        return {"_patch_size": self._patch_size, "_padding_mode": self._padding_mode}


def make_subject(order: Any) -> Subject:
    rng = np.random.default_rng(0)
    shape = (12, 11, 10)
    voxels = rng.normal(size=(2, *shape)).astype(np.float32, order=order)
    return Subject(
        t1=ScalarImage(tensor=voxels, affine=np.diag([2, 2, 3, 1])),
        seg=LabelMap(
            tensor=rng.integers(0, 3, (1, *shape)).astype(np.uint8, order=order),
            affine=np.diag([2, 2, 3, 1]),
        ),
        weights=Image(
            tensor=rng.random((1, *shape)).astype(np.float32, order=order),
            type=SAMPLING_MAP,
            affine=np.diag([2, 2, 3, 1]),
        ),
        age=42,
    )


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(
    "sampler",
    [
        UniformSampler(4),
        UniformSampler((3, 30, 5), padding_mode="reflect"),
        WeightedSampler((3, 4, 5), "weights"),
        WeightedSampler((13, 4, 5), "weights", padding_mode=-3),
        LabelSampler(4),
        LabelSampler((1, 2, 3), "seg", {1: 3, 2: 1}),
        LabelSampler((1, 2, 13), "seg", {1: 3, 2: 1}, padding_mode="edge"),
        MiddleSampler(4),
    ],
    ids=repr,
)
def test_samplers_keep_the_contract(sampler: PatchSampler, order: str) -> None:
    check_sampler(sampler, make_subject(order))


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (CountingSampler(4), "the same generators give the same places"),
        (KeepingSampler(4), "KeepingSampler keeps a volume alive"),
    ],
)
def test_the_contract_finds_samplers_that_break_it(sampler: PatchSampler, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_sampler(sampler, make_subject("C"))


def test_a_sampler_that_cannot_be_sent_to_a_worker_is_found() -> None:
    class LocalSampler(PatchSampler):
        def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
            return 0, 0, 0

    with pytest.raises(AssertionError, match="its class is defined in a module"):
        check_sampler(LocalSampler(2), make_subject("C"))
