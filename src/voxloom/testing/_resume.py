"""Leaving a queue and taking it up again: run it on your own data, transform and sampler."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from voxloom.loading import Queue

_LARGEST_STATE = 600


@dataclass(frozen=True, slots=True)
class _Epoch:
    """What one pass gave: a state before each batch and after the last, a hash of each patch."""

    states: list[str]
    hashes: list[str]


def assert_resumes_anywhere(
    make_queue: Callable[[], Queue],
    make_other: Callable[[], Queue] | None = None,
    *,
    epochs: int = 2,
    batch_size: int = 1,
    every: int = 1,
) -> None:
    """Raise AssertionError unless a queue can be left after any batch and taken up again.

    One queue runs through, and its state is taken after each batch. Another loads each of
    these states, from the last to the first and back, and must give what followed, bit for
    bit: the rest of that epoch, or the whole of the next after the last batch. A state is JSON
    of less than 600 bytes, and that at the end of an epoch is that at the start of the next.

    Parameters
    ----------
    make_queue : callable
        Makes the queue that runs through. It needs a seed, given or by ``torch.manual_seed``.
    make_other : callable, optional
        Makes the queue that resumes, by default as `make_queue` does. The number of workers
        and their start method may differ.
    epochs : int
        How many epochs are left and taken up.
    batch_size : int
        Patches in a batch.
    every : int
        Take up only every so many states, where all would take too long.

    Raises
    ------
    AssertionError
        If what follows a state differs, or the state is no small JSON; it says where.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.arange(512.0).reshape(1, 8, 8, 8))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 3)
    >>> assert_resumes_anywhere(lambda: Queue(dataset, 4, 2, UniformSampler(4), seed=0))
    """
    with closing(make_queue()) as queue:
        seen = [_run_epoch(queue, batch_size) for _ in range(epochs + 1)]
    _check_states(seen)
    places = [(epoch, n) for epoch in range(epochs) for n in range(len(seen[epoch].states))]
    chosen = places[::every]
    with closing((make_other or make_queue)()) as other:
        for epoch, number in [*reversed(chosen), *chosen]:
            _check_resumed(other, seen, epoch, number, batch_size)


def _run_epoch(queue: Queue, batch_size: int) -> _Epoch:
    states, hashes = [json.dumps(queue.state_dict())], []
    for batch in queue.batches(batch_size):
        states.append(json.dumps(queue.state_dict()))
        hashes += _hash_patches(batch)
    return _Epoch(states, hashes)


def _check_states(seen: list[_Epoch]) -> None:
    for epoch, following in itertools.pairwise(seen):
        _check(epoch.states[-1] == following.states[0], "an epoch ends as the next begins")
    largest = max(len(state) for epoch in seen for state in epoch.states)
    _check(largest < _LARGEST_STATE, f"a state is less than {_LARGEST_STATE} bytes: {largest}")


def _check_resumed(
    queue: Queue, seen: list[_Epoch], epoch: int, number: int, batch_size: int
) -> None:
    state = json.loads(seen[epoch].states[number])
    queue.load_state_dict(state)
    _check(queue.state_dict() == state, f"a state that was loaded is that of the queue: {state}")
    left = seen[epoch].hashes[number * batch_size :] or seen[epoch + 1].hashes
    given = _run_epoch(queue, batch_size).hashes
    _check(
        given == left,
        f"after batch {number} of epoch {epoch} the same {len(left)} patches follow; "
        f"{sum(one != other for one, other in zip(given, left, strict=False))} of "
        f"{len(given)} differ",
    )


def _hash_patches(batch: Mapping[str, Any]) -> list[str]:
    """Return a hash of each patch of a batch: voxels, places, affines and metadata."""
    digests = [hashlib.blake2b(digest_size=8) for _ in batch["index_ini"]]
    for name, value in batch.items():
        for key, items in value.items() if isinstance(value, Mapping) else [(name, value)]:
            for digest, item in zip(digests, items, strict=True):
                digest.update(f"{name} {key} ".encode())
                digest.update(_bytes_of(item))
    return [digest.hexdigest() for digest in digests]


def _bytes_of(item: Any) -> bytes:
    if not hasattr(item, "numpy"):
        return repr(item).encode()
    array = item.contiguous().numpy()
    return b"%s %s" % (f"{array.dtype} {array.shape}".encode(), array.tobytes())


def _check(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(f"{what} (voxloom.testing.assert_resumes_anywhere)")
