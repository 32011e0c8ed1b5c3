"""Draws of a transform belong to their place in training."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from voxloom._random import Stream
from voxloom.loading._seeding import call_seeded, takes_rng

CHANGING = str(Path(__file__).parent)


def draw_globally(value: Any) -> tuple[Any, ...]:
    return value, random.random(), np.random.rand(), float(torch.rand(1))  # noqa: NPY002


def draw_given(value: Any, rng: np.random.Generator) -> tuple[Any, ...]:
    return value, rng.random()


@pytest.mark.parametrize("function", [draw_globally, draw_given])
def test_the_place_decides_and_nothing_else(function: Any) -> None:
    def call(patch: int, epoch: int) -> Any:
        random.random(), np.random.rand(), torch.rand(1)  # noqa: NPY002
        return call_seeded(function, "x", Stream(1, "transform", 5), patch=patch, epoch=epoch)

    assert call(0, 1) == call(0, 1)
    assert len({call(0, 0), call(0, 1), call(1, 0), call(1, 1)}) == 4


def test_global_generators_are_restored_even_after_an_error() -> None:
    def fail(value: Any) -> None:
        draw_globally(value)
        raise LookupError("here")

    def states() -> tuple[Any, ...]:
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = states()
    with pytest.raises(LookupError, match="here"):
        call_seeded(fail, "x", Stream(1, "transform"), patch=0, epoch=0)
    assert states() == before


def test_a_function_says_whether_it_takes_a_generator() -> None:
    assert takes_rng(draw_given)
    assert not takes_rng(draw_globally)
    assert not takes_rng(int)


def test_a_transform_that_brings_torch_in_is_seeded_and_changes_its_voxels_once() -> None:
    code = f"""
import sys
sys.path.insert(0, {CHANGING!r})
import changing
from voxloom import SubjectsDataset, UniformSampler
from voxloom.loading._work import Workshop, WorkSpec
dataset = SubjectsDataset(changing.make_subjects(1), changing.double_in_place)
assert "torch" not in sys.modules
opened = Workshop(WorkSpec(dataset, UniformSampler(4), 0)).open(0, 0)
assert "torch" in sys.modules
print(opened.subject.t1.array.max(), changing.make_subjects(1)[0].t1.array.max())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    doubled, given = (float(word) for word in done.stdout.split())
    assert doubled == 2 * given
