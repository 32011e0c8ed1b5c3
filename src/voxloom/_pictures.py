"""How values draw themselves, though the layer of pictures lies above them.

`Image`, samplers and `Queue` have methods that show them, and the code that shows them knows
their classes. One of the two must be found by name, and only when something is to be looked at:
this is the one place where a lower layer reaches for a higher one. ``docs/design/pictures.md``
says why.
"""

from __future__ import annotations

import importlib
from typing import Any, Final

_LAYER: Final = "voxloom.view"


def show(function: str, *arguments: Any, **options: Any) -> Any:
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
    return getattr(importlib.import_module(_LAYER), function)(*arguments, **options)
