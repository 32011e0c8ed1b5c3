import time
from collections.abc import Iterator

import numpy as np
import pytest

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import QueueError
from voxloom.loading._meter import Mark
from voxloom.view._queue import spread_over_bins


@pytest.fixture
def queue() -> Iterator[Queue]:
    image = ScalarImage(tensor=np.zeros((1, 16, 16, 16), dtype=np.float32))
    dataset = SubjectsDataset([Subject(t1=image)] * 6)
    with Queue(dataset, 12, 4, UniformSampler(8), 2, executor="threads", seed=0) as queue:
        yield queue


def test_all_four_courses_are_those_of_the_queue(queue: Queue) -> None:
    for _ in range(2):
        for _ in queue.batches(4):
            time.sleep(0.002)
    fill, waits, stages, mixing = queue.plot().axes
    ready = fill.lines[0].get_ydata()
    assert len(ready) == 48
    assert max(ready) <= 12
    assert fill.lines[1].get_ydata()[0] == 12
    assert len(waits.collections[0].get_segments()) == 12
    assert {text.get_text() for text in stages.get_legend().get_texts()} <= {
        *("read", "decode", "transform", "locate", "crop", "patch transform")
    }
    distinct = mixing.lines[0].get_ydata()
    assert len(distinct) == 12
    assert np.mean(distinct) == pytest.approx(queue.stats().total.mixing.distinct_mean)
    dotted = [line.get_xdata()[0] for line in mixing.lines if line.get_linestyle() == ":"]
    assert len(dotted) == 1  # where the second epoch begins


def test_a_queue_that_gave_nothing_has_nothing_to_show(queue: Queue) -> None:
    with pytest.raises(QueueError, match="no batch has left the queue; loop over it"):
        queue.plot()


def test_plotting_in_the_middle_of_an_epoch_changes_nothing(queue: Queue) -> None:
    batches = queue.batches(4)
    next(batches)
    state = queue.state_dict()
    assert len(queue.plot().axes) == 4
    assert queue.state_dict() == state
    assert sum(len(batch["index_ini"]) for batch in batches) == 20


def test_work_is_spread_over_the_time_that_it_took() -> None:
    edges = np.linspace(0, 4, 5)
    marks = [
        Mark("open", 0, 0.5, 2.5, 0, 0, {"read": 2.0}),
        Mark("open", 1, 1.0, 2.0, 0, 0, {"read": 0.5, "decode": 0.5}),
    ]
    assert spread_over_bins(marks, "read", edges) == pytest.approx([0.5, 1.5, 0.5, 0])
    assert spread_over_bins(marks, "decode", edges) == pytest.approx([0, 0.5, 0, 0])
    assert spread_over_bins(marks, "crop", edges).sum() == 0
