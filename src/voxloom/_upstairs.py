"""The one way up the layers: a function or class of a higher one, named when it is called."""

from __future__ import annotations

import importlib
from typing import Any


def call_by_name(module: str, name: str, *arguments: Any, **options: Any) -> Any:
    """Return what something in another module gives, imported only now.

    Examples
    --------
    >>> call_by_name("math", "gcd", 12, 18)
    6
    """
    return getattr(importlib.import_module(module), name)(*arguments, **options)
