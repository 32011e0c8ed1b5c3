import pytest

from voxloom.loading import _stages
from voxloom.loading._stages import StageClock, StageError


class Clock:
    """Time that passes only when it is told to, for the wall and for the processor."""

    def __init__(self) -> None:
        self.wall_s = self.processor_s = 0.0

    def perf_counter(self) -> float:
        return self.wall_s

    def thread_time(self) -> float:
        return self.processor_s

    def spend(self, wall_s: float, processor_s: float = 0.0) -> None:
        self.wall_s += wall_s
        self.processor_s += processor_s


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_stages, "time", clock)
    return clock


def test_a_stage_adds_up_over_calls_until_it_is_asked_for(time: Clock) -> None:
    clock = StageClock()
    for _ in range(2):
        clock.run("crop", lambda: time.spend(2))
    assert clock.take() == {"crop": 4}
    assert clock.take() == {}


def test_an_exception_says_its_stage_and_the_time_still_counts(time: Clock) -> None:
    def work() -> None:
        time.spend(3)
        raise ZeroDivisionError("here")

    clock = StageClock()
    with pytest.raises(StageError, match="locate") as caught:
        clock.run("locate", work)
    assert isinstance(caught.value.cause, ZeroDivisionError)
    assert clock.take() == {"locate": 3}


def test_the_part_of_loading_that_computes_is_decoding(time: Clock) -> None:
    clock = StageClock()
    clock.run_load(lambda: time.spend(5, processor_s=2))
    assert clock.take() == {"read": 3, "decode": 2}


def test_decoding_never_takes_longer_than_loading(time: Clock) -> None:
    clock = StageClock()
    clock.run_load(lambda: time.spend(5, processor_s=6))
    assert clock.take() == {"read": 0, "decode": 5}


def test_failing_to_load_names_the_stage() -> None:
    with pytest.raises(StageError, match="read"):
        StageClock().run_load(lambda: 1 / 0)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_fails_a_stage_in_a_worker_and_goes_on_in_the_trainer(
    error: type[BaseException],
) -> None:
    def end() -> None:
        raise error("enough")

    with pytest.raises(StageError, match="transform"):
        StageClock(lambda stage: None).run("transform", end)
    with pytest.raises(error, match="enough"):
        StageClock().run("transform", end)


def test_whoever_asked_is_told_of_each_stage_as_it_begins() -> None:
    told: list[str] = []
    clock = StageClock(told.append)
    clock.run("transform", lambda: told.append("work"))
    assert told == ["transform", "work"]
