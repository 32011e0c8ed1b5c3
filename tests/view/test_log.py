"""Figures are written down as they come, and once more at the end."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom.view import log_jsonl, log_tensorboard


@pytest.fixture
def queue() -> Iterator[Queue]:
    image = ScalarImage(tensor=np.zeros((1, 8, 8, 8)))
    with Queue(SubjectsDataset([Subject(t1=image)] * 4), 8, 2, UniformSampler(4), seed=0) as queue:
        yield queue


class Scalars:
    def __init__(self) -> None:
        self.written: dict[str, list[tuple[int, float]]] = {}

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.written.setdefault(tag, []).append((global_step, scalar_value))


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_last_line_is_what_the_queue_says_at_the_end(queue: Queue, tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    with log_jsonl(queue, path, every_s=60):
        list(queue.batches(4))
    [line] = read(path)
    assert line.pop("time_s") <= time.time()
    assert line == json.loads(json.dumps(queue.stats().as_dict()))


def test_lines_come_while_it_runs_and_are_added_to_what_is_there(
    queue: Queue, tmp_path: Path
) -> None:
    path = tmp_path / "queue.jsonl"
    path.write_text('{"earlier": 1}\n')
    with log_jsonl(queue, path, every_s=0.01):
        while len(read(path)) < 3:
            time.sleep(0.01)
    assert read(path)[0] == {"earlier": 1}


def test_closing_twice_writes_once(queue: Queue, tmp_path: Path) -> None:
    log = log_jsonl(queue, tmp_path / "queue.jsonl", every_s=60)
    log.close()
    log.close()
    assert len(read(tmp_path / "queue.jsonl")) == 1


def test_scalars_are_written_by_patches(queue: Queue) -> None:
    scalars = Scalars()
    with log_tensorboard(queue, scalars, every_s=60):
        list(queue.batches(4))
    total = queue.stats().total
    assert scalars.written["queue/fill_mean"] == [(8, total.fill_mean)]
    assert scalars.written["queue/waiting_share"] == [(8, total.waiting_share)]


@pytest.mark.parametrize("every_s", [0, -1.0, float("nan")])
def test_a_pace_that_is_none_is_refused(queue: Queue, tmp_path: Path, every_s: float) -> None:
    with pytest.raises(ValueError, match="seconds above 0"):
        log_jsonl(queue, tmp_path / "queue.jsonl", every_s=every_s)


def test_a_file_that_cannot_be_written_is_said_at_once(queue: Queue, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        log_jsonl(queue, tmp_path / "nowhere" / "queue.jsonl")
