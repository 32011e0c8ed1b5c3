import pytest

from voxloom import SubjectsDataset, UniformSampler
from voxloom.cli._sources import choose_dataset
from voxloom.cli._trial import Course, Setting, Trial, recommend


def course_of(dataset: SubjectsDataset, trainer) -> Course:
    return Course(dataset, UniformSampler(8), 8, 2, 2, 0, 0.05, trainer)


def test_a_trial_hands_every_batch_to_the_trainer(phantoms):
    seen = []
    trial = course_of(choose_dataset(phantoms).dataset, seen.append).run(Setting("inline", 0))
    assert len(seen) == trial.batches + 1
    assert trial.patches_per_s > 0
    assert 0 <= trial.waiting_share <= 1
    assert {len(batch["index_ini"]) for batch in seen} == {2}


def test_the_ceiling_is_that_of_the_trainer_alone(phantoms):
    seen = []
    course = course_of(choose_dataset(phantoms).dataset, seen.append)
    with course.make_queue(Setting("inline", 0)) as queue:
        speed, step_s = course.ceiling(queue)
    assert speed == pytest.approx(2 / step_s)
    assert len({id(batch) for batch in seen}) == 2  # the same two again and again


def trial(workers: int, speed: float) -> Trial:
    return Trial(Setting("threads" if workers else "inline", workers), 1.0, speed, 0.5, 9, "")


def test_workers_that_bring_little_are_not_recommended():
    trials = [trial(1, 10.0), trial(2, 19.0), trial(4, 20.0)]
    assert recommend(trials, trained=True).setting.workers == 2


def test_no_workers_are_only_recommended_where_something_trained():
    trials = [trial(0, 30.0), trial(1, 20.0)]
    assert recommend(trials, trained=True).setting.workers == 0
    assert recommend(trials, trained=False).setting.workers == 1
    assert recommend(trials[:1], trained=False).setting.workers == 0
