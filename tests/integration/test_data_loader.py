"""A queue in torch's own DataLoader: each of its arguments works, or says what to do instead."""

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
)

from voxloom import (
    Queue,
    ScalarImage,
    Subject,
    SubjectsDataset,
    SubjectsLoader,
    UniformSampler,
)
from voxloom.subjects import collate

PATCHES = 15


def make_queue() -> Queue:
    images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(5)]
    dataset = SubjectsDataset([Subject(t1=image, number=n) for n, image in enumerate(images)])
    return Queue(dataset, 6, 3, UniformSampler(4), seed=1)


def places(loader: Any) -> list[list[list[int]]]:
    """Return for each batch the subject and the box of each patch."""
    batches = []
    for batch in loader:
        numbers = torch.as_tensor(batch["number"]).reshape(-1, 1)
        batches.append(torch.cat([numbers, batch["location"].reshape(-1, 6)], dim=1).tolist())
    return batches


def flat(batches: list[list[list[int]]]) -> list[list[int]]:
    return [row for batch in batches for row in batch]


@pytest.fixture(scope="module")
def epochs() -> list[list[list[int]]]:
    """Return what three epochs hold, patch by patch."""
    queue = make_queue()
    return [flat(places(queue.batches(4))) for _ in range(3)]


def never_called(number: int) -> None:
    raise AssertionError("there are no workers to initialise")


def keep_places(patches: list[Subject]) -> dict[str, torch.Tensor]:
    return {
        "number": torch.tensor([patch.number for patch in patches]),
        "location": torch.stack([torch.as_tensor(patch["location"]) for patch in patches]),
    }


ARGUMENTS: dict[str, dict[str, Any]] = {
    "no argument": {},
    "batch_size": {"batch_size": 4},
    "batch_size above all": {"batch_size": 100},
    "collate_fn of ours": {"batch_size": 4, "collate_fn": collate},
    "collate_fn of one's own": {"batch_size": 4, "collate_fn": keep_places},
    "worker_init_fn": {"batch_size": 4, "worker_init_fn": never_called},
    "generator": {"batch_size": 4, "generator": torch.Generator().manual_seed(3)},
    "shuffle": {"batch_size": 4, "shuffle": True},
    "shuffle and generator": {"shuffle": True, "generator": torch.Generator().manual_seed(3)},
    "in_order": {"batch_size": 4, "in_order": False},
    "sampler of a list": {"batch_size": 4, "sampler": list(range(PATCHES))[::-1]},
    "batch_sampler of lists": {"batch_sampler": [[0, 1, 2], [3, 4], list(range(5, PATCHES))]},
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_the_patches_of_every_epoch_are_those_of_the_plan(
    arguments: dict[str, Any], epochs: list[list[list[int]]]
) -> None:
    loader = DataLoader(make_queue(), **arguments)
    assert [flat(places(loader)) for _ in range(3)] == epochs


@pytest.mark.parametrize("kind", [SequentialSampler, RandomSampler])
def test_samplers_over_the_queue_decide_nothing(kind: Any, epochs: list[list[list[int]]]) -> None:
    queue = make_queue()
    loader = DataLoader(queue, batch_size=4, sampler=kind(queue))
    assert [flat(places(loader)) for _ in range(3)] == epochs
    batched = make_queue()
    loader = DataLoader(batched, batch_sampler=BatchSampler(kind(batched), 6, drop_last=False))
    assert [flat(places(loader)) for _ in range(3)] == epochs


def test_the_sizes_of_batches_are_what_was_asked_for(epochs: list[list[list[int]]]) -> None:
    for arguments, sizes in (
        ({"batch_size": 4}, [4, 4, 4, 3]),
        ({"batch_size": 4, "drop_last": True}, [4, 4, 4]),
        ({"batch_sampler": [[0, 1, 2], [3, 4], list(range(5, PATCHES))]}, [3, 2, 10]),
    ):
        loader = DataLoader(make_queue(), **arguments)
        for epoch in epochs:
            batches = places(loader)
            assert [len(batch) for batch in batches] == sizes
            assert len(loader) == len(sizes)
            assert flat(batches) == epoch[: sum(sizes)]


def test_without_batches_each_patch_comes_by_itself(epochs: list[list[list[int]]]) -> None:
    loader = DataLoader(make_queue(), batch_size=None)
    assert len(loader) == PATCHES
    for epoch in epochs:
        assert flat(places(loader)) == epoch
    patch = next(iter(DataLoader(make_queue(), batch_size=None)))
    assert patch["t1"]["data"].shape == (1, 4, 4, 4)
    given = next(iter(DataLoader(make_queue(), batch_size=None, collate_fn=lambda patch: patch)))
    assert isinstance(given, Subject)


@pytest.mark.skipif(torch.cuda.is_available(), reason="torch warns where there is no GPU")
def test_without_a_gpu_memory_is_not_pinned_and_torch_says_so(
    epochs: list[list[list[int]]],
) -> None:
    loader = DataLoader(make_queue(), batch_size=4, pin_memory=True)
    with pytest.warns(UserWarning, match="no accelerator is found"):
        assert flat(places(loader)) == epochs[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_whole_batches_are_pinned(epochs: list[list[list[int]]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = list(DataLoader(make_queue(), batch_size=4, pin_memory=True))
    assert flat(places(batches)) == epochs[0]
    assert all(batch["t1"]["data"].is_pinned() for batch in batches)


def test_workers_of_the_loader_are_refused_with_all_that_is_for_them() -> None:
    message = (
        r"DataLoader\(queue, num_workers=0\) and Queue\(\.\.\., num_workers=\.\.\.\) instead.*"
        r"leave out persistent_workers, prefetch_factor, timeout and multiprocessing_context"
    )
    queue = make_queue()
    arguments: dict[str, Any] = {"num_workers": 1, "persistent_workers": True, "timeout": 60}
    with pytest.raises(RuntimeError, match=message):
        next(iter(DataLoader(queue, batch_size=4, prefetch_factor=3, **arguments)))
    with pytest.raises(RuntimeError, match=message):
        SubjectsLoader(queue, batch_size=4, num_workers=1)
    assert len(places(queue.batches(4))) == 4  # the epoch is whole


@pytest.mark.parametrize(
    "arguments",
    [
        {"persistent_workers": True},
        {"prefetch_factor": 3},
        {"timeout": 5},
        {"multiprocessing_context": "spawn"},
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_what_is_for_workers_of_a_loader_is_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises(RuntimeError, match=r"a queue has workers of its own.*leave out"):
        SubjectsLoader(make_queue(), batch_size=4, **arguments)
    with pytest.raises((ValueError, AssertionError), match=r"num_workers|multiproc|timeout"):
        iter(DataLoader(make_queue(), batch_size=4, **arguments))  # torch itself refuses them


@pytest.mark.parametrize(
    "make_sampler",
    [
        lambda queue: RandomSampler(queue, replacement=True),
        lambda queue: RandomSampler(queue, num_samples=40),
        lambda queue: DistributedSampler(queue, num_replicas=2, rank=0),
    ],
    ids=["with replacement", "too many", "DistributedSampler"],
)
def test_samplers_that_do_not_give_each_index_once_are_refused(make_sampler: Any) -> None:
    torch.manual_seed(0)
    queue = make_queue()
    loader = DataLoader(queue, batch_size=4, sampler=make_sampler(queue))
    with pytest.raises(RuntimeError, match="its sampler does not give each index once"):
        [places(loader) for _ in range(3)]


def test_a_loader_of_subjects_collates_as_it_is_told() -> None:
    for loader in (
        SubjectsLoader(make_queue(), len, batch_size=4),
        SubjectsLoader(make_queue(), collate_fn=len, batch_size=4),
    ):
        assert list(loader) == [4, 4, 4, 3]
    batch = next(iter(SubjectsLoader(make_queue(), None, batch_size=4)))
    assert len(batch["location"]) == 4
