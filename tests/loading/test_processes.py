"""A worker's reports: in few messages, and never later than something that takes long."""

import multiprocessing
from collections.abc import Iterator
from typing import Any

import pytest

from voxloom.loading._board import Board
from voxloom.loading._messages import Cut, Finished, Made, Open
from voxloom.loading._processes import _obey
from voxloom.loading._stages import KEPT
from voxloom.loading._work import Job


class Bench:
    """Makes what it is told at once, and notes what was reported before a subject was opened."""

    def __init__(self, reports: Any) -> None:
        self.reports = reports
        self.was_reported: list[bool] = []

    def obey(self, command: Open | Cut) -> Iterator[Made]:
        if isinstance(command, Open):
            self.was_reported.append(self.reports.poll())
        else:
            yield Made(tuple(Finished(job, 0, 0, (0, 0, 0)) for job, *_ in command.patches), {})


def job(number: int) -> Job:
    return Job(number, 0, 0, ((0, 0),))


def cut(number: int) -> Cut:
    return Cut(((number, 0, 0, 0),), 8)


@pytest.mark.parametrize("is_known", [False, True])
def test_what_is_made_is_reported_before_the_next_subject_is_opened(is_known: bool) -> None:
    reports, pipe = multiprocessing.Pipe(duplex=False)
    bench: Any = Bench(reports)
    board = Board()
    board.attach()
    commands = cut(1), Open(job(2), 1, is_known=is_known), cut(2)
    _obey(bench, commands, pipe, board)
    assert bench.was_reported == [not is_known]
    made = [event for _ in range(1 if is_known else 2) for event in reports.recv()]
    assert [done.job for event in made for done in event.patches] == [1, 2]
    assert all(event.seconds[KEPT] > 0 for event in made)
    assert not reports.poll()
    board.close()
