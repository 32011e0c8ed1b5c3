import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import SubjectError, TransformError
from voxloom.transforms import canonical, chain, crop_or_pad, z_score

SUBJECT = Subject(t1=ScalarImage(tensor=np.arange(1000.0).reshape(1, 10, 10, 10)))


def with_own_draw(subject: Subject, rng: Any) -> Subject:
    return subject.replace(own=rng.random())


def with_global_draws(subject: Subject) -> Subject:
    drawn = [float(torch.rand(1)), float(np.random.rand())]  # noqa: NPY002 - as users do
    return subject.replace(drawn=drawn)


def test_transforms_are_applied_in_order() -> None:
    transform = chain(partial(crop_or_pad, spatial_shape=4), canonical, z_score)
    expected = z_score(canonical(crop_or_pad(SUBJECT, 4)))
    np.testing.assert_array_equal(transform(SUBJECT).t1.array, expected.t1.array)


def test_what_is_drawn_comes_from_rng() -> None:
    transform = chain(z_score, with_own_draw, with_global_draws)
    first, second, again = (transform(SUBJECT, np.random.default_rng(n)) for n in (1, 2, 1))
    assert (first.own, first.drawn) == (again.own, again.drawn)
    assert first.own != second.own
    assert first.drawn != second.drawn


def test_a_chain_may_work_in_threads_if_nothing_in_it_draws_from_all_generators() -> None:
    assert not chain(partial(crop_or_pad, spatial_shape=4), z_score, with_own_draw).seeds_globals
    assert chain(z_score, with_global_draws).seeds_globals
    assert chain(z_score, chain(with_global_draws)).seeds_globals
    own = chain(z_score, with_own_draw)
    draws = []
    for options in ({}, {"num_workers": 2, "executor": "threads"}):
        with Queue(
            SubjectsDataset([SUBJECT] * 2, own), 4, 2, UniformSampler(4), seed=5, **options
        ) as queue:
            [batch] = queue.batches(4)
        draws.append(batch["own"].tolist())
    assert draws[0] == draws[1]


def test_a_chain_can_be_pickled() -> None:
    transform = chain(canonical, partial(z_score, images=["t1"]))
    again = pickle.loads(pickle.dumps(transform))
    np.testing.assert_array_equal(again(SUBJECT).t1.array, transform(SUBJECT).t1.array)


def test_a_chain_can_be_the_transform_of_a_queue() -> None:
    transform = chain(z_score, with_own_draw, with_global_draws)
    draws = []
    for _ in range(2):
        dataset = SubjectsDataset([SUBJECT] * 2, transform)
        with Queue(dataset, 4, 2, UniformSampler(4), seed=5) as queue:
            [batch] = queue.batches(4)
        draws.append(batch["own"].tolist())
    assert draws[0] == draws[1]
    assert len(set(draws[0])) == 2


def test_what_cannot_be_called_is_refused() -> None:
    with pytest.raises(TransformError, match="made of callables, number 1 is str"):
        chain(canonical, "z_score")  # type: ignore[arg-type]


def test_a_transform_that_gives_no_subject_is_named() -> None:
    with pytest.raises(SubjectError, match=r"<function .*lambda.* in a chain should give"):
        chain(lambda subject: None)(SUBJECT)  # type: ignore[arg-type,return-value]
