"""Calling a user's transform so that what it draws belongs to one place in training."""

from __future__ import annotations

import functools
import inspect
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from voxloom._random import Stream, draw_word


def call_seeded(
    function: Callable[..., Any],
    value: Any,
    stream: Stream,
    *,
    patch: int,
    epoch: int,
    operation: int = 0,
    again: Callable[[], Any] | None = None,
) -> Any:
    """Return ``function(value)``, its random draws decided by the place in `stream` alone.

    A function with a parameter ``rng`` is given a generator of its own. For any other, the
    global generators of `random`, NumPy and torch are seeded, and restored afterwards. Where
    the first call brings torch in, there is a second, with what `again` returns: the first may
    have changed the value.
    """
    if takes_rng(function):
        return function(value, rng=stream.at(patch, epoch=epoch, operation=operation))
    rng = stream.at(patch, epoch=epoch, operation=operation)
    seed = draw_word(rng)
    had_torch = "torch" in sys.modules
    with seeded_globals(seed):
        result = function(value)
    if not had_torch and "torch" in sys.modules:  # its first draws could not be seeded
        if again is not None:
            value = again()
        with seeded_globals(seed):
            result = function(value)
    return result


def takes_rng(function: Callable[..., Any]) -> bool:
    """Tell whether a callable has a parameter called ``rng``."""
    try:
        return "rng" in inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False


def seeds_globals(function: Callable[..., Any]) -> bool:
    """Tell whether a callable takes ``rng`` and seeds the global generators from it.

    It then says so by an attribute of this name, as wrapped transforms of MONAI and TorchIO
    do: their results are repeatable in a process of their own, and not beside a trainer.
    """
    while isinstance(function, functools.partial):
        function = function.func
    return bool(getattr(function, "seeds_globals", False))


@contextmanager
def seeded_globals(seed: int) -> Iterator[None]:
    """Seed the global generators of `random`, NumPy and torch; put them back at the end."""
    torch = sys.modules.get("torch")
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    torch_state = None if torch is None else torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - a user's transform may draw from it
    if torch is not None:
        torch.default_generator.manual_seed(seed % 2**63)
    try:
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        if torch is not None and torch_state is not None:
            torch.set_rng_state(torch_state)
