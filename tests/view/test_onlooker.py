"""Pictures are kept of one whole batch at a time, and only while someone asks for them."""

from collections.abc import Iterator

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.loading._sight import set_onlooker
from voxloom.view._onlooker import BatchOnlooker, middle_of


@pytest.fixture
def queue() -> Iterator[Queue]:
    rng = np.random.default_rng(0)
    subjects = [Subject(t1=ScalarImage(tensor=rng.random((1, 9, 8, 7)))) for _ in range(6)]
    with Queue(SubjectsDataset(subjects), 12, 4, UniformSampler(4), seed=1) as queue:
        yield queue


def test_nothing_is_copied_until_someone_asks(queue: Queue) -> None:
    onlooker = BatchOnlooker()
    set_onlooker(queue, onlooker)
    list(queue.batches(4))
    assert onlooker.pictures() == []
    assert onlooker.seen == 6


def test_the_pictures_are_those_of_one_batch_in_its_order(queue: Queue) -> None:
    onlooker = BatchOnlooker()
    set_onlooker(queue, onlooker)
    onlooker.pictures()
    batches = list(queue.batches(4))
    places = [tuple(place) for place in (p["index_ini"] for p in onlooker.pictures())]
    left = [[tuple(place) for place in batch["index_ini"].tolist()] for batch in batches]
    assert places in left
    plan = queue.plan(0)
    [number] = [n for n, batch in enumerate(left) if batch == places]
    shown = [picture["subject"] for picture in onlooker.pictures()]
    assert shown == plan.subjects[4 * number : 4 * number + 4].tolist()
    assert list(onlooker.batches)[number] == (0, 4 * number, shown)


def test_later_batches_are_shown_when_asked_again(queue: Queue) -> None:
    onlooker = BatchOnlooker()
    set_onlooker(queue, onlooker)
    onlooker.pictures()
    list(queue.batches(4))
    before = onlooker.pictures()
    list(queue.batches(4))
    after = onlooker.pictures()
    assert before
    assert after
    assert before != after


def test_few_patches_are_copied_however_many_leave(queue: Queue) -> None:
    onlooker = BatchOnlooker()
    set_onlooker(queue, onlooker)
    list(queue.batches(2))
    onlooker.pictures()
    list(queue.batches(2))
    assert len(onlooker._glimpses) == 6


def test_an_onlooker_changes_no_patch(queue: Queue) -> None:
    alone = [batch["t1"]["data"].numpy().copy() for batch in queue.batches(4)]
    queue.load_state_dict({**queue.state_dict(), "epoch": 0, "delivered": 0})
    onlooker = BatchOnlooker()
    set_onlooker(queue, onlooker)
    onlooker.pictures()
    watched = [batch["t1"]["data"].numpy() for batch in queue.batches(4)]
    assert all((a == b).all() for a, b in zip(alone, watched, strict=True))


def test_a_picture_is_the_middle_slice_with_its_second_axis_up() -> None:
    voxels = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    picture = middle_of(voxels)
    assert picture.shape == (4, 3)
    assert picture[-1, 0] == voxels[0, 0, 0, 2]
    assert picture[0, 2] == voxels[0, 2, 3, 2]
    assert not np.shares_memory(picture, voxels)


@pytest.mark.parametrize("length", [64, 65, 128, 200])
def test_a_large_patch_gives_a_small_picture(length: int) -> None:
    assert max(middle_of(np.zeros((1, length, length, 3))).shape) <= 64
