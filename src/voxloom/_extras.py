"""One way to import an optional dependency, and one message when it is absent."""

from __future__ import annotations

import importlib
from types import ModuleType

from voxloom._errors import MissingExtraError


def import_extra(module: str, extra: str) -> ModuleType:
    """Return the module, or name the extra that brings it.

    Raises
    ------
    MissingExtraError
        If the module is not installed.

    Examples
    --------
    >>> import_extra("json", "demo").__name__
    'json'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise MissingExtraError(
            f"{module} is needed here and is not installed; run: pip install 'voxloom[{extra}]'"
        ) from error
