from typing import Any

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import StateError
from voxloom.adapters import PatchLoader


def make_loader(batch_size: int = 5, **settings: Any) -> PatchLoader:
    images = [ScalarImage(tensor=np.full((1, 8, 8, 8), n, np.float32)) for n in range(6)]
    dataset = SubjectsDataset([Subject(t1=image, number=n) for n, image in enumerate(images)])
    return PatchLoader(Queue(dataset, 8, 4, UniformSampler(4), seed=1), batch_size, **settings)


def read(loader: PatchLoader) -> list[Any]:
    return [
        (batch["t1"]["data"][:, 0, 0, 0, 0].tolist(), batch["location"].tolist())
        for batch in loader
    ]


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 5, 8, 24, 25])
def test_its_length_is_the_number_of_its_batches(batch_size: int, drop_last: bool) -> None:
    loader = make_loader(batch_size, drop_last=drop_last)
    assert (
        len(loader)
        == len(read(loader))
        == (24 // batch_size if drop_last else -(-24 // batch_size))
    )


def test_one_pass_is_one_epoch() -> None:
    loader = make_loader()
    first, second = read(loader), read(loader)
    assert first != second
    loader.set_epoch(0)
    assert read(loader) == first
    loader.set_epoch(1)
    assert read(loader) == second


def test_setting_the_epoch_it_is_in_changes_nothing() -> None:
    whole = read(make_loader())
    loader = make_loader()
    next(iter(loader))
    state = loader.state_dict()
    resumed = make_loader()
    resumed.load_state_dict(state)
    resumed.set_epoch(0)
    assert read(resumed) == whole[1:]


@pytest.mark.parametrize("taken", range(1, 5))
def test_it_goes_on_after_any_batch(taken: int) -> None:
    whole = make_loader()
    expected = read(whole) + read(whole)
    loader = make_loader()
    batches = iter(loader)
    for _ in range(taken):
        next(batches)
    resumed = make_loader()
    resumed.load_state_dict(loader.state_dict())
    assert read(resumed) + read(resumed) == expected[taken:]


def test_frameworks_find_the_epoch_to_set() -> None:
    loader = make_loader()
    loader.sampler.set_epoch(3)
    assert loader.state_dict()["epoch"] == 3


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, True, None])
def test_what_is_no_batch_size_is_refused(batch_size: object) -> None:
    with pytest.raises(ValueError, match="batch_size is a whole number of at least 1"):
        make_loader(batch_size)  # type: ignore[arg-type]


def test_a_negative_epoch_is_refused() -> None:
    with pytest.raises(StateError, match="0 <= epoch"):
        make_loader().set_epoch(-1)


def test_it_says_what_it_loads() -> None:
    assert repr(make_loader()).startswith("PatchLoader(Queue(6 subjects, 24 patches an epoch")


def test_the_epoch_is_set_on_ranks_that_came_to_be_since(monkeypatch: pytest.MonkeyPatch) -> None:
    loader = make_loader()
    next(iter(loader))  # in the middle of a pass nobody looks for ranks
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    loader.set_epoch(1)
    assert loader.queue.next_epoch == 1
    assert sum(len(values) for values, _ in read(loader)) == 12


def test_an_epoch_that_was_left_begins_anew_when_it_is_set() -> None:
    whole = read(make_loader())
    loader = make_loader()
    next(iter(loader))
    loader.set_epoch(0)
    assert loader.queue.next_epoch == 0
    assert read(loader) == whole
    assert loader.queue.next_epoch == 1
