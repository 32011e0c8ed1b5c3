import tracemalloc

from voxloom.loading._marks import TRAINER, Mark, Marks
from voxloom.loading._meter import Meter
from voxloom.loading._plan import PlanOptions, plan_epoch


def cut(number: int) -> Mark:
    return Mark("cut", 1, number, number + 0.5, number, 3, {"crop": 0.25, "locate": 0.125})


def test_marks_come_back_as_they_were_given() -> None:
    given = [
        Mark("open", 0, 0.1, 0.2, 7, 0, {"read": 0.5, "patch transform": 1.0}),
        Mark("wait", TRAINER, 0.2, 0.3, 7, None, {}),
        cut(9),
    ]
    marks = Marks()
    for mark in given:
        marks.add(mark)
    assert list(marks) == given
    assert len(marks) == 3


def test_the_oldest_marks_give_way() -> None:
    marks = Marks()
    for number in range(12_345):
        marks.add(cut(number))
    assert [mark.epoch for mark in marks] == list(range(7_345, 12_345))
    assert len(marks) == 5_000


def test_a_long_run_takes_no_more_memory_than_a_short_one() -> None:
    meter, plan = Meter(), plan_epoch([4] * 4, 0, PlanOptions(seed=0, max_length=8))
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(20_000):
            meter.note_wait(0, (number, number + 0.5), is_first=False)
            meter.note_take(0, 8, ready=number)
            meter.note_batch(plan, [0, 1, 2])
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000
    assert len(meter.marks) == len(meter.fills) == len(meter.moments) == 5_000
    assert meter.fills[-1][1] == 19_999
    assert meter.moments[-1][1:] == (3, 3)
