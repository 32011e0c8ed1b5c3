"""One pass is one exact epoch, whatever the sizes, the workers and the way it is read."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import changing
import nibabel
import numpy as np
import pytest
import torch
from torch.utils.data import (
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    Subset,
)

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import QueueError
from voxloom.loading._inline import InlineExecutor
from voxloom.loading._messages import Cut

pytestmark = pytest.mark.filterwarnings("ignore:batches of")  # small queues mix little

MakeQueue = Callable[..., Queue]
Sign = Callable[[Iterable[Any]], list[str]]

WAYS: dict[str, Callable[[Queue], Iterator[list[int]]]] = {
    "iteration": lambda queue: ([patch.number] for patch in queue),
    "DataLoader": lambda queue: (b["number"].tolist() for b in DataLoader(queue, batch_size=2)),
    "one by one": lambda queue: ([patch["number"]] for patch in DataLoader(queue, batch_size=None)),
    "batches": lambda queue: (batch["number"].tolist() for batch in queue.batches(2)),
}


class TenTimes(SubjectsDataset):
    """Visits each subject ten times in an epoch."""

    def __len__(self) -> int:
        return 10 * super().__len__()

    def __getitem__(self, index: int) -> Subject:
        return super().__getitem__(index % super().__len__())


class Passes(IterableDataset[Any]):
    """Gives an epoch of a queue to another loader: patches, or batches."""

    def __init__(self, queue: Queue, batch_size: int | None) -> None:
        self.queue, self.batch_size = queue, batch_size

    def __iter__(self) -> Iterator[Any]:
        size = self.batch_size
        return iter(self.queue) if size is None else self.queue.batches(size)


def planned(queue: Queue, epoch: int) -> list[int]:
    return queue.plan(epoch).subjects.tolist()


def flat(groups: Iterable[list[int]]) -> list[int]:
    return [number for group in groups for number in group]


@pytest.mark.parametrize("mode", [{}, {"schedule": "fill"}, {"shuffle_patches": False}])
def test_every_small_epoch_is_exact_and_as_planned(make_queue: MakeQueue, mode: Any) -> None:
    for count, samples, max_length in product((1, 2, 5), (1, 3, 7), (1, 2, 5, 40)):
        queue = make_queue(count, samples, max_length, **mode)
        for epoch in range(3):
            numbers = flat(batch["number"].tolist() for batch in queue.batches(4))
            assert Counter(numbers) == dict.fromkeys(range(count), samples)
            assert numbers == planned(queue, epoch)


@pytest.mark.parametrize(("count", "samples", "max_length"), [(5, 3, 2), (3, 7, 5), (7, 2, 40)])
def test_workers_keep_epochs_exact(
    make_queue: MakeQueue, count: int, samples: int, max_length: int
) -> None:
    queue = make_queue(count, samples, max_length, num_workers=2)
    for epoch in range(3):
        assert flat(WAYS["batches"](queue)) == planned(queue, epoch)


def test_subjects_say_how_many_patches_they_give(make_queue: MakeQueue) -> None:
    subjects = changing.make_subjects(4, num_samples=[3, 0, 1, 5])
    queue = make_queue(subjects=subjects, max_length=4)
    assert len(queue) == 9
    assert Counter(flat(WAYS["batches"](queue))) == {0: 3, 2: 1, 3: 5}


def test_subjects_of_a_part_of_a_data_set_say_it_too() -> None:
    dataset = SubjectsDataset(changing.make_subjects(4, num_samples=[3, 0, 1, 5]))
    parts = Subset(dataset, [3, 0]), Subset(Subset(dataset, [0, 2, 3]), [1])
    for given, expected in ((parts[0], 8), (ConcatDataset(parts), 9)):
        with Queue(given, 4, 2, UniformSampler(2)) as queue:
            assert len(queue) == expected
            assert len(list(queue)) == expected


def test_subjects_in_a_list_say_it_too() -> None:
    subjects = changing.make_subjects(4, num_samples=[3, 0, 1, 5])
    for given in (subjects, tuple(subjects), ConcatDataset([subjects[:2], subjects[2:]])):
        with Queue(given, 4, 2, UniformSampler(2)) as queue:
            assert len(queue) == 9
            assert len(list(queue)) == 9


def test_a_data_set_that_says_another_length_than_its_subjects_have_is_believed() -> None:
    dataset = TenTimes(changing.make_subjects(2))
    with Queue(dataset, 4, 3, UniformSampler(2)) as queue:
        assert len(queue) == len(list(queue)) == 60


@pytest.mark.parametrize("way", ["loader", "batches"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_only_some_subjects_may_say_how_many_patches_they_give(
    make_queue: MakeQueue, way: str, shuffled: bool
) -> None:
    subjects = changing.make_subjects(4)
    subjects[1], subjects[2] = (subjects[n].replace(num_samples=5 * n - 4) for n in (1, 2))
    queue = make_queue(subjects=subjects, samples=3, max_length=4, shuffle_subjects=shuffled)
    assert len(queue) == 3 + 1 + 6 + 3
    batches = list(DataLoader(queue, batch_size=13) if way == "loader" else queue.batches(13))
    assert Counter(flat(batch["number"].tolist() for batch in batches)) == {0: 3, 1: 1, 2: 6, 3: 3}
    assert all("num_samples" not in batch for batch in batches)


def test_a_batch_may_be_larger_than_what_is_held(make_queue: MakeQueue) -> None:
    queue = make_queue(5, 3, max_length=2)
    for way in (queue.batches(15), DataLoader(queue, batch_size=15)):
        [batch] = list(way)
        assert batch["t1"]["data"].shape == (15, 1, 4, 4, 4)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("way", ["DataLoader", "batches"])
def test_no_more_patches_are_held_than_allowed(
    make_queue: MakeQueue, num_workers: int, way: str
) -> None:
    queue = make_queue(6, 4, max_length=5, num_workers=num_workers)
    held, done = [], threading.Event()

    def watch() -> None:
        while not done.wait(0.0005):
            held.append(queue.num_patches)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(2):
        held += [queue.num_patches for _batch in WAYS[way](queue)]
    done.set()
    watcher.join()
    assert max(held) <= 5
    memory = queue._start().memory
    assert memory.count * memory.slot_bytes == 5 * 4**3 * 4  # and there is no room for more


def run_two_epochs(sign: Sign, num_workers: int, start_method: Any = "spawn") -> list[str]:
    dataset = SubjectsDataset(changing.make_subjects(6), changing.draw_from_every_generator)
    queue = Queue(dataset, 8, 3, UniformSampler(4), num_workers, seed=3, start_method=start_method)
    seen = []
    with queue:
        for _ in range(2):
            for batch in queue.batches(3):
                torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002
                seen += sign([batch])
    return seen


@pytest.mark.parametrize(
    ("num_workers", "start_method"),
    [(2, "spawn"), *((workers, "forkserver") for workers in (1, 2, 3, 5))],
)
@pytest.mark.usefixtures("fork_server")
def test_workers_and_the_trainers_draws_change_nothing(
    sign: Sign, num_workers: int, start_method: str
) -> None:
    expected = run_two_epochs(sign, 0)
    assert len(set(expected)) == 12
    torch.manual_seed(num_workers)
    assert run_two_epochs(sign, num_workers, start_method) == expected


def test_the_queue_leaves_the_global_generators_alone(make_queue: MakeQueue) -> None:
    def states() -> tuple[Any, ...]:
        numpy_state = np.random.get_state()[1]  # noqa: NPY002
        return random.getstate(), numpy_state.tolist(), torch.get_rng_state().tolist()

    before = states()
    queue = make_queue(transform=changing.draw_from_every_generator)
    assert len(queue) == 15
    for _ in queue.batches(4):
        assert states() == before
    list(queue)
    assert states() == before


def test_a_data_set_of_ones_own_is_not_drawn_from_either(make_queue: MakeQueue) -> None:
    class Own:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Subject:
            return changing.draw_from_every_generator(changing.make_subjects(3)[index])

    before = torch.get_rng_state()
    queue = Queue(Own(), 4, 2, UniformSampler(4), seed=1)
    numbers = [patch.number for patch in queue]
    assert Counter(numbers) == {0: 2, 1: 2, 2: 2}
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_seed_torch_decides_it(make_queue: MakeQueue, sign: Sign) -> None:
    def run(torch_seed: int) -> list[str]:
        torch.manual_seed(torch_seed)
        return sign(make_queue(seed=None))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_epochs_of_a_distributed_sampler_are_its_own(make_queue: MakeQueue) -> None:
    subjects = changing.make_subjects(6)
    samplers = [DistributedSampler(subjects, 2, rank, shuffle=True, seed=3) for rank in (0, 1)]
    options: Any = {"subjects": subjects, "samples": 2, "shuffle_subjects": False}
    queues = [make_queue(subject_sampler=one, **options) for one in samplers]
    seen = []
    for epoch in range(4):
        for one in samplers:
            one.set_epoch(epoch)
        ranks = [flat(WAYS["batches"](queue)) for queue in queues]
        assert Counter(ranks[0] + ranks[1]) == dict.fromkeys(range(6), 2)
        seen.append(tuple(ranks[0]))
    assert len({frozenset(numbers) for numbers in seen}) > 1
    assert len(set(seen)) == 4


def test_seeds_and_epochs_give_patches_of_their_own(make_queue: MakeQueue, sign: Sign) -> None:
    queue = make_queue(seed=0)
    first, second, other = sign(queue), sign(queue), sign(make_queue(seed=1))
    assert len({tuple(first), tuple(second), tuple(other)}) == 3


@pytest.mark.parametrize("way", WAYS)
def test_one_loop_is_one_epoch(make_queue: MakeQueue, way: str) -> None:
    queue = make_queue()
    for epoch in range(3):
        assert flat(WAYS[way](queue)) == planned(queue, epoch)


@pytest.mark.parametrize(("left", "next_way"), list(product(WAYS, WAYS)))
def test_after_a_loop_that_was_left_the_next_epoch_begins(
    make_queue: MakeQueue, left: str, next_way: str
) -> None:
    queue = make_queue()
    for numbers, _ in zip(WAYS[left](queue), range(2), strict=False):
        assert numbers
    assert flat(WAYS[next_way](queue)) == planned(queue, 1)
    assert flat(WAYS[left](queue)) == planned(queue, 2)


def test_one_loader_left_and_started_again_begins_the_next_epoch(make_queue: MakeQueue) -> None:
    queue = make_queue()
    loader = DataLoader(queue, batch_size=4)
    next(iter(loader))
    assert flat(batch["number"].tolist() for batch in loader) == planned(queue, 1)
    assert flat(batch["number"].tolist() for batch in loader) == planned(queue, 2)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("way", ["iteration", "batches"])
def test_a_loop_that_was_left_for_another_cannot_go_on(
    make_queue: MakeQueue, way: str, num_workers: int
) -> None:
    queue = make_queue(num_workers=num_workers)
    left = WAYS[way](queue)
    next(left)
    for epoch in (1, 2):
        assert flat(WAYS["batches"](queue)) == planned(queue, epoch)
    with pytest.raises(RuntimeError, match="one loop at a time"):
        next(left)
    assert flat(WAYS["iteration"](queue)) == planned(queue, 3)


def test_a_queue_that_went_through_pickle_goes_on(make_queue: MakeQueue, sign: Sign) -> None:
    queue = make_queue()
    next(iter(queue.batches(4)))
    copy = pickle.loads(pickle.dumps(queue))
    assert copy.state_dict() == queue.state_dict()
    assert sign(copy) == sign(queue)


def test_voxels_that_were_changed_in_place_are_what_workers_cut(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii"
    nibabel.save(nibabel.Nifti1Image(np.zeros((6, 6, 6), np.int16), np.eye(4)), path)
    subject = Subject(t1=ScalarImage(path))
    subject.t1.data.fill_(7)
    with Queue(SubjectsDataset([subject]), 4, 4, UniformSampler(4), num_workers=1) as queue:
        (batch,) = queue.batches(4)
    assert (batch["t1"]["data"] == 7).all()


@pytest.mark.parametrize("num_workers", [0, 1])
def test_what_is_changed_in_a_patch_is_in_no_other(num_workers: int) -> None:
    voxels = np.zeros((1, 6, 6, 6))
    subject = Subject(t1=ScalarImage(tensor=voxels, notes=["a"]), seen={"by": []}, pair=([1], 2))
    dataset = SubjectsDataset([subject])
    with Queue(dataset, 4, 4, UniformSampler(4), num_workers=num_workers) as queue:
        for patch in queue:
            assert (patch["t1"]["notes"], patch["seen"], patch["pair"]) == (
                ["a"],
                {"by": []},
                ([1], 2),
            )
            patch["t1"]["notes"].append("b")
            patch["seen"]["by"].append("me")
            patch["pair"][0].append(2)
        for batch in queue.batches(2):
            assert (batch["t1"]["notes"], batch["pair"]) == ([["a"]] * 2, [([1], 2)] * 2)
            batch["t1"]["notes"][0].append("b")
            batch["pair"][0][0].append(2)
    assert (subject["t1"]["notes"], subject["seen"]) == (["a"], {"by": []})


def test_a_shuffling_loader_keeps_epochs_exact(make_queue: MakeQueue) -> None:
    queue = make_queue()
    loader = DataLoader(queue, batch_size=4, shuffle=True)
    for epoch in range(3):
        assert flat(batch["number"].tolist() for batch in loader) == planned(queue, epoch)


def test_a_shuffling_loader_that_was_left_is_told_not_to_shuffle(make_queue: MakeQueue) -> None:
    queue = make_queue(count=40)
    loader = DataLoader(queue, batch_size=4, shuffle=True)
    torch.manual_seed(3)
    next(iter(loader))
    with pytest.raises(RuntimeError, match="no sampler: the queue shuffles by itself"):
        list(loader)


def test_a_loader_with_a_subset_is_told_that_the_queue_chooses(make_queue: MakeQueue) -> None:
    loader = DataLoader(make_queue(count=40), batch_size=4, sampler=[3, 1, 7, 30])
    with pytest.raises(RuntimeError, match="does not give each index once"):
        [list(loader) for _ in range(2)]


def test_a_subject_of_many_patches_is_asked_for_in_small_questions(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    send = InlineExecutor.send

    def watch(self: InlineExecutor, worker: int, *commands: Any) -> None:
        asked.extend(len(command.patches) for command in commands if isinstance(command, Cut))
        send(self, worker, *commands)

    monkeypatch.setattr(InlineExecutor, "send", watch)
    queue = make_queue(2, 1200, max_length=4000, patch_size=1)
    numbers = flat(batch["number"].tolist() for batch in queue.batches(300))
    assert numbers == planned(queue, 0)
    assert max(asked) <= 500


def test_a_shuffling_loader_goes_on_from_a_state(make_queue: MakeQueue) -> None:
    queue, other = make_queue(), make_queue()
    loader = DataLoader(queue, batch_size=4, shuffle=True)
    next(iter(loader))
    other.load_state_dict(queue.state_dict())
    resumed = DataLoader(other, batch_size=4, shuffle=True)
    assert flat(batch["number"].tolist() for batch in resumed) == planned(queue, 0)[4:]
    for epoch in (1, 2):
        assert flat(batch["number"].tolist() for batch in resumed) == planned(queue, epoch)


@pytest.mark.parametrize("loader", ["batches", "DataLoader"])
def test_a_last_batch_that_is_not_full_can_be_left_out(make_queue: MakeQueue, loader: str) -> None:
    queue = make_queue()

    def run() -> list[list[int]]:
        if loader == "batches":
            return [batch["number"].tolist() for batch in queue.batches(4, drop_last=True)]
        batches = DataLoader(queue, batch_size=4, drop_last=True)
        return [batch["number"].tolist() for batch in batches]

    for epoch in range(2):
        assert flat(run()) == planned(queue, epoch)[:12]


def test_workers_of_the_loader_are_refused_at_once(make_queue: MakeQueue) -> None:
    queue = make_queue()
    for method in ("fork", "spawn"):
        loader = DataLoader(queue, batch_size=2, num_workers=1, multiprocessing_context=method)
        with pytest.raises(RuntimeError, match=r"num_workers=0\) and Queue\(\.\.\., num_workers="):
            next(iter(loader))
    assert flat(WAYS["batches"](queue)) == planned(queue, 0)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_an_epoch_is_not_repeated_by_each_worker_of_another_loader(
    make_queue: MakeQueue, batch_size: int | None
) -> None:
    loader = DataLoader(Passes(make_queue(), batch_size), batch_size=None, num_workers=2)
    with pytest.raises(RuntimeError, match=r"num_workers=0\) and Queue\(\.\.\., num_workers="):
        list(loader)


def test_both_ways_give_equal_batches(make_queue: MakeQueue, sign: Sign) -> None:
    details = {"site": ["A", "B", None, "A", "B"], "dose": [1, 2.5, 3, 4, 5]}
    details["curve"] = [np.arange(3) + n for n in range(5)]
    one, other = (
        make_queue(
            subjects=changing.make_subjects(5, **details), transform=changing.add_and_replace
        )
        for _ in range(2)
    )
    ours, torchs = list(one.batches(4)), list(DataLoader(other, batch_size=4))
    for mine, theirs in zip(ours, torchs, strict=True):
        assert list(mine) == list(theirs)
        assert mine["curve"].dtype == theirs["curve"].dtype == torch.int64
        assert type(mine["site"]) is type(theirs["site"]) is list
        assert mine["t1"].keys() == theirs["t1"].keys()
    assert sign(ours) == sign(torchs)


def test_a_daemonic_process_is_told_what_it_may_start(
    make_queue: MakeQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(QueueError, match="daemonic process may start no workers: use executor="):
        make_queue(num_workers=2)
    make_queue(num_workers=2, executor="threads")


def test_a_closed_queue_says_so(make_queue: MakeQueue) -> None:
    queue = make_queue(num_workers=1)
    list(queue)
    queue.close()
    queue.close()
    with pytest.raises(RuntimeError, match="queue is closed; make a new one"):
        next(iter(queue))


@pytest.mark.parametrize("name", ["max_length", "samples_per_volume", "num_workers"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "2", None])
def test_sizes_are_whole_numbers(name: str, value: Any) -> None:
    sizes = {"max_length": 4, "samples_per_volume": 2, "num_workers": 0, name: value}
    with pytest.raises(ValueError, match=f"{name} is a whole number of at least"):
        Queue(SubjectsDataset(changing.make_subjects(2)), sampler=UniformSampler(4), **sizes)


@pytest.mark.parametrize("seed", [1.5, "a", True])
def test_a_seed_is_a_whole_number(make_queue: MakeQueue, seed: Any) -> None:
    with pytest.raises(ValueError, match="seed is a whole number, got"):
        make_queue(seed=seed)


@pytest.mark.parametrize("seed", [-3, 2**70, np.int64(5)])
def test_any_whole_number_is_a_seed(make_queue: MakeQueue, seed: Any) -> None:
    assert make_queue(seed=seed).seed == seed


@pytest.mark.parametrize(
    "dataset", [changing.make_subjects(1)[0], 3, iter([])], ids=["subject", "number", "iterator"]
)
def test_what_is_no_data_set_is_refused(dataset: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a SubjectsDataset, got .*Queue\(SubjectsDataset"):
        Queue(dataset, 4, 2, UniformSampler(4))


def test_an_empty_data_set_is_refused() -> None:
    with pytest.raises(RuntimeError, match="the data set is empty"):
        Queue([], 4, 2, UniformSampler(4))


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="the system has no such policy")
def test_no_worker_takes_the_core_of_a_running_trainer_when_it_wakes(
    make_queue: MakeQueue,
) -> None:
    with make_queue(3, 2, 4, num_workers=2, executor="processes") as queue:
        next(iter(queue))
        assert queue._dispatcher is not None
        workers = queue._dispatcher._executor._processes  # type: ignore[attr-defined]
        deadline, policies = time.monotonic() + 20, []
        while set(policies) != {os.SCHED_BATCH} and time.monotonic() < deadline:
            time.sleep(0.01)  # one made the first patch, the other may still begin
            policies = [os.sched_getscheduler(worker.pid) for worker in workers]
    assert policies == [os.SCHED_BATCH] * 2
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
