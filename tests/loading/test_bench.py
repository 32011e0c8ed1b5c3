"""What a worker opens and cuts does not depend on which worker is first."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import changing
import numpy as np
import pytest

from voxloom import GridSampler, Queue, Subject, SubjectsDataset
from voxloom.loading._bench import Bench
from voxloom.loading._messages import Began, Cut, Failed, Open
from voxloom.loading._slots import SlotMemory
from voxloom.loading._work import Job, WorkSpec


def fail_for_some_places(patch: Subject, rng: np.random.Generator) -> Subject:
    if (int(patch["index_ini"].sum()) + patch.number) % 3 == 0:
        raise LookupError("no such place")
    return patch


def test_a_subject_whose_first_patch_cannot_be_made_is_opened_all_the_same() -> None:
    dataset = SubjectsDataset(changing.make_subjects(1))
    failing = {"patch_transform": fail_for_some_places}
    bench = Bench(
        WorkSpec(dataset, GridSampler(patch_size=4), 1, **failing), SlotMemory(8, shared=False)
    )
    places = tuple((n, n) for n in range(8))  # the grid's first place is the sum 0
    assert [type(event) for event in bench.obey(Open(Job(0, 0, 0, places), 8))] == [Began]
    cut = Cut(tuple((0, n, n, n) for n in range(8)), 4**3 * 4)
    events = list(bench.obey(cut))
    assert [event.place for event in events if isinstance(event, Failed)] == [0, 7]


@pytest.mark.parametrize("schedule", ["spread", "fill", "shuffle"])
def test_a_patch_that_cannot_be_made_is_replaced_alone_whoever_opens_its_subject_first(
    make_queue: Callable[..., Queue], sign: Callable[[Any], list[str]], schedule: str
) -> None:
    """Also where it is the first of a worker, by which the size of a slot would be decided."""

    def run(num_workers: int) -> tuple[list[str], Any]:
        queue = make_queue(
            9, 4, 12, patch_transform=fail_for_some_places, schedule=schedule,
            num_workers=num_workers, executor="threads" if num_workers else None,
            on_error="replace", retries=0, max_replaced=50,
        )  # fmt: skip
        return sign(itertools.chain(queue, queue)), queue.state_dict()["replaced"]

    expected = run(0)
    assert expected[1]
    assert run(1) == run(3) == expected
