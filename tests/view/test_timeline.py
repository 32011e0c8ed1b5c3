import time

import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import QueueError
from voxloom.view import QueueTimeline, plot_timeline


def make_queue(subject: tio.Subject, num_workers: int = 0) -> tio.Queue:
    dataset = tio.SubjectsDataset([subject] * 4)
    return tio.Queue(dataset, 6, 3, tio.UniformSampler(4), num_workers=num_workers, seed=0)


def test_watching_changes_nothing_and_notes_every_batch(subject: tio.Subject) -> None:
    plain = [batch["index_ini"].tolist() for batch in make_queue(subject).batches(4)]
    queue = make_queue(subject)
    timeline = QueueTimeline(queue)
    seen = [batch["index_ini"].tolist() for batch in timeline.watch(queue.batches(4))]
    assert seen == plain
    assert len(timeline.moments) == 3


def test_only_the_time_until_a_batch_comes_counts_as_waiting(subject: tio.Subject) -> None:
    timeline = QueueTimeline(make_queue(subject))

    def slow_batches() -> object:
        for number in range(3):
            time.sleep(0.02)
            yield number

    for _ in timeline.watch(slow_batches()):  # type: ignore[arg-type, misc]
        time.sleep(0.1)
    assert timeline.waited_s >= 3 * 0.02
    assert timeline.elapsed_s - timeline.waited_s >= 2 * 0.1
    assert all(one.asked_s <= one.came_s for one in timeline.moments)


def test_the_fill_is_counted_and_bounded(subject: tio.Subject) -> None:
    with make_queue(subject, num_workers=1) as queue:
        timeline = QueueTimeline(queue)
        for _ in timeline.watch(queue.batches(4)):
            time.sleep(0.2)
    counts = [count for one in timeline.moments for count in (one.ready_before, one.ready_after)]
    assert 0 < max(counts) <= 6


def test_the_plot_shows_fill_and_waits_at_their_times(subject: tio.Subject) -> None:
    queue = make_queue(subject)
    timeline = QueueTimeline(queue)
    for _ in timeline.watch(queue.batches(4)):
        pass
    fill, waits = plot_timeline(timeline).axes
    times = [time_s for one in timeline.moments for time_s in (one.asked_s, one.came_s)]
    assert fill.lines[0].get_xdata().tolist() == times
    tops = [path[1, 1] for path in waits.collections[0].get_segments()]
    expected = [1000 * (one.came_s - one.asked_s) for one in timeline.moments]
    np.testing.assert_allclose(tops, expected)


def test_there_is_nothing_to_plot_before_the_first_batch(subject: tio.Subject) -> None:
    with pytest.raises(QueueError, match=r"loop over timeline\.watch\(loader\) before"):
        plot_timeline(QueueTimeline(make_queue(subject)))
