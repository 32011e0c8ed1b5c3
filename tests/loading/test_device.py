"""Batches on a GPU are those on the CPU, however far the copies run ahead of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import changing
import pytest
import torch

from voxloom import Queue

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
    pytest.mark.filterwarnings("ignore:batches of"),
]
MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]


def to_cpu(item: Any) -> Any:
    if isinstance(item, torch.Tensor):
        return item.cpu()
    return {name: to_cpu(value) for name, value in item.items()} if isinstance(item, dict) else item


@pytest.mark.parametrize("options", [{}, {"num_workers": 2}])
def test_batches_are_the_same_while_the_gpu_is_behind(
    make_queue: MakeQueue, sign: Sign, options: dict[str, Any]
) -> None:
    settings = {"count": 12, "subjects": changing.make_subjects(12, side=40), "patch_size": 32}
    expected = sign(make_queue(**settings).batches(4))
    kept = []
    for batch in make_queue(**settings, **options).batches(4, device="cuda"):
        torch.cuda._sleep(50_000_000)  # what is queued behind this runs tens of milliseconds later
        kept.append({**batch, "t1": {**batch["t1"], "data": batch["t1"]["data"] + 0}})
        del batch  # its memory may be given to a batch that is copied meanwhile
    assert sign(to_cpu(batch) for batch in kept) == expected


def test_all_tensors_are_on_the_device(make_queue: MakeQueue) -> None:
    batch = next(make_queue(num_workers=1).batches(2, device="cuda"))
    tensors = [batch["t1"]["data"], batch["t1"]["affine"], batch["index_ini"], batch["number"]]
    assert {tensor.device.type for tensor in tensors} == {"cuda"}


def test_a_trainer_with_a_stream_of_its_own_sees_whole_batches(
    make_queue: MakeQueue, sign: Sign
) -> None:
    expected = sign(make_queue().batches(4))
    with torch.cuda.stream(torch.cuda.Stream()):
        batches = make_queue(num_workers=1).batches(4, device="cuda")
        assert sign(map(to_cpu, batches)) == expected
