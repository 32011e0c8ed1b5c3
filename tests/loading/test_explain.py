from collections.abc import Callable
from typing import Any

import pytest
import torch
from changing import draw_from_every_generator, draw_from_given, fail, make_subjects

from voxloom import Queue
from voxloom._errors import PatchError, QueueError


@pytest.mark.parametrize("epoch", [0, 2])
def test_it_makes_the_patch_that_the_queue_gives(
    make_queue: Callable[..., Queue], sign: Callable[..., list[str]], epoch: int
) -> None:
    queue = make_queue(
        transform=draw_from_every_generator, patch_transform=draw_from_given, max_length=4
    )
    for _ in range(epoch):
        assert len(list(queue)) == len(queue)
    given = sign(queue)
    explained = [queue.explain(index, epoch) for index in range(len(queue))]
    assert sign(one.patch for one in explained) == given


def test_it_says_where_the_patch_comes_from(make_queue: Callable[..., Queue]) -> None:
    queue = make_queue()
    plan, patches = queue.plan(0), list(queue)
    for index, patch in enumerate(patches):
        found = queue.explain(index, epoch=0)
        assert (found.epoch, found.plan_index) == (0, index)
        assert found.subject == plan.subjects[index] == patch["number"]
        assert found.patch_number == plan.patches[index]
        assert list(found.index_ini) == patch["index_ini"].tolist()
        assert {"decode", "locate", "crop"} <= found.seconds.keys()
        assert f"subject {found.subject} " in str(found)


def test_it_uses_the_current_epoch_and_leaves_the_queue_where_it_is(
    make_queue: Callable[..., Queue], sign: Callable[..., list[str]]
) -> None:
    queue, other = make_queue(), make_queue()
    assert len(list(queue)) == len(list(other))
    state = queue.state_dict()
    assert queue.explain(3).epoch == 1
    assert queue.state_dict() == state
    assert sign(queue) == sign(other)


def test_it_draws_nothing_from_the_global_generators(make_queue: Callable[..., Queue]) -> None:
    queue = make_queue(transform=draw_from_every_generator)
    before = torch.get_rng_state()
    queue.explain(0)
    assert torch.equal(before, torch.get_rng_state())


def test_it_raises_what_the_queue_raises(make_queue: Callable[..., Queue]) -> None:
    queue = make_queue(transform=fail)
    index = queue.plan(0).subjects.tolist().index(2)
    with pytest.raises(PatchError, match="failed in stage 'transform': LookupError") as caught:
        queue.explain(index)
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("index", [-1, 15])
def test_an_index_beyond_the_plan_is_refused(make_queue: Any, index: int) -> None:
    queue = make_queue(subjects=make_subjects(5))
    with pytest.raises(QueueError, match=f"epoch 0 has plan indices 0 to 14, got {index}"):
        queue.explain(index)


@pytest.mark.parametrize(
    ("index", "epoch", "message"),
    [
        (1.5, 0, r"index is a whole number, got 1\.5"),
        ("a", 0, "index is a whole number, got 'a'"),
        (0, -1, "epoch is a whole number of at least 0, got -1"),
    ],
)
def test_what_is_no_index_is_refused(make_queue: Any, index: Any, epoch: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_queue(subjects=make_subjects(5)).explain(index, epoch=epoch)
