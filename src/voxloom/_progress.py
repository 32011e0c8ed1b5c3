"""A bar that shows how far a long piece of work has come, where somebody watches."""

from __future__ import annotations

import importlib
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

_PATIENCE_S: Final = 1.0


def progress_bar(
    total: int | None, name: str, *, begin: int = 0, unit: str = "it", scaled: bool = False
) -> AbstractContextManager[Any]:
    """Return a context that gives a bar with ``update(n)``, or None.

    It shows after a second, so that what is quick stays quiet. It gives None where standard error
    is no terminal or tqdm is not installed.

    Parameters
    ----------
    total : int, optional
        How many units there are, if that is known.
    name : str
        What is being done.
    begin : int
        How many units are done already.
    unit : str
        What is counted.
    scaled : bool
        Whether large counts are shown with k, M, G.

    Examples
    --------
    >>> with progress_bar(3, "patches") as bar:
    ...     for _ in range(3):
    ...         if bar is not None:
    ...             bar.update(1)
    """
    if not sys.stderr.isatty():
        return nullcontext()
    try:
        tqdm = importlib.import_module("tqdm")
    except ModuleNotFoundError:
        return nullcontext()
    bar: AbstractContextManager[Any] = tqdm.tqdm(
        total=total, initial=begin, unit=unit, unit_scale=scaled, desc=name, delay=_PATIENCE_S
    )
    return bar
