"""The one way up the layers: a function of a higher one, named when it is called.

Values draw themselves and turn into other libraries' values, though the code that does it lies
above them and knows their classes. One of the two must be found by name, and only when it is
asked for. ``docs/design/pictures.md`` says why.
"""

from __future__ import annotations

import importlib
import warnings
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


def draw(
    function: str,
    /,
    *arguments: Any,
    figsize: tuple[float, float] | None = None,
    output_path: Any = None,
    return_fig: bool = True,
    show: bool = False,
    **options: Any,
) -> Any:
    """Draw a picture with a function of `voxloom.view`, and hand it over as scripts ask for it.

    It is `figsize` large, in inches, if that is given. The file `output_path` gets it, if one is
    given, and the caller does, unless `return_fig` is False. No window is opened: `show` is there
    for scripts that say so.

    Examples
    --------
    >>> draw("plot_curve", [3.0, 2.0, 1.0], return_fig=False) is None
    True
    """
    if show:
        warnings.warn(
            "show=True opens no window: plot() returns a figure, which a notebook shows and "
            "output_path=... writes to a file",
            UserWarning,
            stacklevel=3,
        )
    figure = call_by_name(_PICTURES, function, *arguments, **options)
    if figsize is not None:
        figure.set_size_inches(*figsize)
    if output_path is not None:
        figure.savefig(output_path)
    return figure if return_fig else None
