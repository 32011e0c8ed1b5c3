"""One number from whatever a caller gives as randomness."""

from __future__ import annotations

import numpy as np

from voxloom._errors import TransformError
from voxloom._random import draw_word

Randomness = np.random.Generator | int | None


def seed_from(rng: Randomness) -> int:
    """Return a seed below 2**64.

    Parameters
    ----------
    rng : numpy.random.Generator or int, optional
        A generator gives its next raw word, an integer is the seed itself. None takes one
        from torch's generator, so that `torch.manual_seed` is enough.

    Raises
    ------
    TransformError
        A ValueError, if it is something else.

    Examples
    --------
    >>> seed_from(7), 0 <= seed_from(np.random.default_rng(0)) < 2**64
    (7, True)
    """
    if isinstance(rng, np.random.Generator):
        return draw_word(rng)
    if rng is None:
        import torch

        return int(torch.randint(2**63 - 1, (1,)).item())
    if isinstance(rng, bool) or not hasattr(rng, "__index__") or not 0 <= rng < 2**64:
        raise TransformError(
            f"rng is a numpy.random.Generator, a seed from 0 to 2**64 - 1, or None; got {rng!r}"
        )
    return int(rng)
