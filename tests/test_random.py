"""Words belong to a place in training, whoever else asks at the same time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxloom._random import Stream, bounded, bounded_array

PLACES = st.integers(0, 2**64 - 1)


@given(st.integers(), PLACES, PLACES, PLACES)
def test_a_place_has_the_same_words_by_both_ways(
    seed: int, patch: int, epoch: int, op: int
) -> None:
    stream = Stream(seed, "place")
    words = stream.words(5, patch=patch, epoch=epoch, operation=op)
    generator = stream.at(patch, epoch=epoch, operation=op)
    assert words.tolist() == [int(generator.bit_generator.random_raw()) for _ in range(5)]


def test_threads_that_share_a_stream_get_their_own_words() -> None:
    shared = Stream(1, "place")
    expected = [Stream(1, "place").words(3, epoch=epoch).tolist() for epoch in range(8)]

    def ask(thread: int) -> list[list[int]]:
        return [shared.words(3, epoch=(thread + n) % 8).tolist() for n in range(4000)]

    with ThreadPoolExecutor(4) as threads:
        for thread, words in enumerate(threads.map(ask, range(4))):
            assert words == [expected[(thread + n) % 8] for n in range(4000)]


@given(st.lists(PLACES, min_size=1), st.integers(1, 2**32 - 1))
def test_integers_are_those_of_python(words: list[int], count: int) -> None:
    drawn = bounded_array(np.array(words, dtype=np.uint64), count)
    assert drawn.tolist() == [bounded(word, count) for word in words]
