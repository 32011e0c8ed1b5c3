"""Small queues, and a module of transforms that worker processes can import."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from changing import make_subjects

from voxloom import Queue, SubjectsDataset, UniformSampler


@pytest.fixture
def make_queue(fork_server: None) -> Iterator[Callable[..., Queue]]:
    """Return a function that makes a queue, which is closed when the test ends.

    Its workers come from a server of forks, which is quick; most tests of `integration` spawn them.
    """
    made: list[Queue] = []

    def make(
        count: int = 5,
        samples: int = 3,
        max_length: int = 6,
        *,
        transform: Any = None,
        subjects: Any = None,
        patch_size: int = 4,
        **options: Any,
    ) -> Queue:
        dataset = SubjectsDataset(subjects or make_subjects(count), transform)
        # By default these subjects would be shuffled, and no volume would ever be held.
        options = {
            "seed": 7, "schedule": "spread", "sampler": UniformSampler(patch_size),
            "start_method": "forkserver", **options,
        }  # fmt: skip
        queue = Queue(dataset, max_length, samples, **options)
        made.append(queue)
        return queue

    yield make
    for queue in made:
        queue.close()


@pytest.fixture
def sign() -> Callable[[Iterable[Any]], list[str]]:
    """Return a function that hashes all voxels, places and metadata of patches or batches."""

    def digest(item: Any) -> str:
        state = hashlib.blake2b(digest_size=8)
        _feed(state, item)
        return state.hexdigest()

    return lambda items: [digest(item) for item in items]


def _feed(state: Any, item: Any) -> None:
    if hasattr(item, "items"):
        for name, value in item.items():
            state.update(name.encode())
            _feed(state, value)
    elif hasattr(item, "numpy"):
        state.update(str(item.dtype).encode() + str(tuple(item.shape)).encode())
        state.update(item.contiguous().numpy().tobytes())
    else:
        state.update(repr(item).encode())
