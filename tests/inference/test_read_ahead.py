"""Working ahead in a thread."""

import threading

import pytest

from voxloom.inference._read_ahead import read_ahead


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "voxloom-read-ahead"]


def test_results_come_in_order_and_the_thread_ends() -> None:
    assert list(read_ahead(lambda n: n * n, range(50))) == [n * n for n in range(50)]
    assert workers() == []


def test_it_is_no_more_than_its_depth_ahead() -> None:
    begun: list[int] = []
    ahead = read_ahead(lambda n: begun.append(n) or n, range(100), depth=2)  # type: ignore[func-returns-value]
    for taken in range(10):
        assert next(ahead) == taken
        assert len(begun) <= taken + 1 + 2 + 1
    ahead.close()
    assert workers() == []


def test_an_error_is_raised_in_its_turn() -> None:
    ahead = read_ahead(lambda n: 1 // n, [1, 1, 0])
    assert [next(ahead), next(ahead)] == [1, 1]
    with pytest.raises(ZeroDivisionError, match="division"):
        next(ahead)
    assert workers() == []
