"""The one way up the layers: a function of a higher one, named when it is called.

Values draw themselves and turn into other libraries' values, though the code that does it lies
above them and knows their classes. One of the two must be found by name, and only when it is
asked for. ``docs/design/pictures.md`` says why.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

_PICTURES: Final = "voxloom.view"


def call_by_name(module: str, name: str, /, *arguments: Any, **options: Any) -> Any:
    """Return what something in another module gives, imported only now.

    Examples
    --------
    >>> call_by_name("math", "gcd", 12, 18)
    6
    """
    return getattr(importlib.import_module(module), name)(*arguments, **options)


def show(function: str, /, *arguments: Any, **options: Any) -> Any:
    """Call a public function of `voxloom.view` and return what it gives.

    Raises
    ------
    MissingExtraError
        An ImportError, if it needs matplotlib and that is not installed; the message names the
        extra ``plot``.

    Examples
    --------
    >>> show("plot_curve", [3.0, 2.0, 1.0]).axes[0].get_ylabel()
    'loss'
    """
    return call_by_name(_PICTURES, function, *arguments, **options)
