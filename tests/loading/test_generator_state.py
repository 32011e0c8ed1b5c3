"""A sampler's own generator goes on from a text, and what is no such text is refused by name."""

from __future__ import annotations

import base64
import json
import zlib
from typing import Any

import pytest
import torch
from torch.utils.data import RandomSampler, SequentialSampler, WeightedRandomSampler

from voxloom.loading._generator_state import generator_of, read_generator, write_generator


def draw(generator: torch.Generator) -> list[int]:
    return torch.randperm(100, generator=generator).tolist()


def test_another_generator_goes_on_where_the_first_was() -> None:
    one, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(4)
    draw(one)
    text = json.loads(json.dumps(write_generator(one)))
    read_generator(other, text)
    assert [draw(other) for _ in range(3)] == [draw(one) for _ in range(3)]
    assert len(text) < 5000


def test_a_sampler_has_the_generator_that_it_was_given_and_never_the_global_one() -> None:
    own = torch.Generator()
    assert generator_of(RandomSampler(range(3), generator=own)) is own
    assert generator_of(WeightedRandomSampler([1.0], 1, generator=own)) is own
    for without in (
        RandomSampler(range(3)),
        SequentialSampler(range(3)),
        RandomSampler(range(3), generator=torch.default_generator),
    ):
        assert generator_of(without) is None


SHORT = base64.b64encode(zlib.compress(b"12")).decode()


@pytest.mark.parametrize("text", ["", "!", "abcd", SHORT, 3, None, [1]])
def test_what_is_no_state_of_a_generator_is_named_and_changes_nothing(text: Any) -> None:
    generator = torch.Generator().manual_seed(3)
    before = write_generator(generator)
    with pytest.raises(ValueError, match=r"'generator' of the state is that of the subject_s"):
        read_generator(generator, text)
    assert write_generator(generator) == before
