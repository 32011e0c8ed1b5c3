"""The check of resuming finds what is wrong with a queue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.testing import assert_resumes_anywhere


def dataset() -> SubjectsDataset:
    voxels = np.arange(512, dtype=np.float32).reshape(1, 8, 8, 8)
    return SubjectsDataset([Subject(t1=ScalarImage(tensor=voxels + n), n=n) for n in range(4)])


class ForgetfulQueue(Queue):
    """Resumes at the start of its epoch."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict({**state, "delivered": 0})


class TalkativeQueue(Queue):
    """Has a state that is too long."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "more": "x" * 600}


class DrawingQueue(Queue):
    """Gives other places each time."""

    def batches(self, *arguments: Any, **options: Any) -> Iterator[dict[str, Any]]:
        for batch in super().batches(*arguments, **options):
            yield {**batch, "drawn": np.random.default_rng().random(len(batch["index_ini"]))}


def test_a_queue_passes() -> None:
    assert_resumes_anywhere(lambda: Queue(dataset(), 4, 2, UniformSampler(4), seed=0), batch_size=3)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (ForgetfulQueue, "a state that was loaded is that of the queue"),
        (TalkativeQueue, "a state is less than 600 bytes"),
        (DrawingQueue, "the same 8 patches follow; 8 of 8 differ"),
    ],
)
def test_a_queue_that_does_not_resume_is_found(kind: type[Queue], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        assert_resumes_anywhere(lambda: kind(dataset(), 4, 2, UniformSampler(4), seed=0))
