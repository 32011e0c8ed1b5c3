"""What is known of a worker that is dead or hangs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from voxloom.loading._board import Board, Position

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board()
    board.attach()
    yield board
    board.close()


def test_before_anything_was_written_the_worker_is_starting(board: Board) -> None:
    assert board.read() == Position("start", -1, -1, 0)


@pytest.mark.parametrize("stage", ["read", "transform", "locate", "crop", "patch transform"])
def test_what_was_written_is_read(board: Board, stage: str) -> None:
    board.begin(3, 17)
    board.enter(stage)
    position = board.read()
    assert (position.stage, position.job, position.place) == (stage, 3, 17)
    assert 2**20 < position.peak_bytes < 2**40


def test_a_worker_at_rest_has_no_job(board: Board) -> None:
    board.begin(3, 17)
    board.enter("crop")
    board.rest()
    assert (board.read().stage, board.read().job) == ("wait", -1)


def test_a_child_writes_and_its_stacks_are_read_while_it_sleeps(board: Board) -> None:
    child = os.fork()
    if not child:
        board.dump_stacks_on_signal()
        board.begin(1, 2)
        board.enter("read")
        time.sleep(1000)
        os._exit(1)
    try:
        while board.read().job != 1:
            time.sleep(0.01)
        stacks = board.ask_stacks(child, patience_s=10)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert "test_board.py" in stacks


def test_a_process_that_does_not_answer_is_said_to(board: Board) -> None:
    board.rest()
    child = os.fork()
    if not child:
        while True:
            time.sleep(1000)
    try:
        os.kill(child, 19)  # SIGSTOP: nothing can answer
        stacks = board.ask_stacks(child, patience_s=0.1)
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
    assert stacks == "(no answer: it hangs in the system itself)"


def test_a_worker_that_has_not_started_is_not_asked(board: Board) -> None:
    assert board.ask_stacks(os.getpid()) == "(it has not started yet)"


def test_closing_twice_does_no_harm(board: Board) -> None:
    board.close()
    board.close()
