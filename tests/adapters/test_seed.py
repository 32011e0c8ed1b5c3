import numpy as np
import pytest
import torch

from voxloom._errors import TransformError
from voxloom.adapters._seed import seed_from


def test_a_generator_gives_its_next_word() -> None:
    rng = np.random.Generator(np.random.Philox(3))
    first, second = seed_from(rng), seed_from(rng)
    assert [first, second] == np.random.Philox(3).random_raw(2).tolist()


def test_none_takes_from_torch() -> None:
    torch.manual_seed(0)
    first, second = seed_from(None), seed_from(None)
    torch.manual_seed(0)
    assert seed_from(None) == first != second


@pytest.mark.parametrize("rng", [-1, 2**64, 1.5, True, "seed"])
def test_anything_else_is_refused(rng: object) -> None:
    with pytest.raises(TransformError, match=r"rng is a .*Generator, a seed"):
        seed_from(rng)  # type: ignore[arg-type]
