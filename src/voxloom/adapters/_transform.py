"""What can be wrapped as a transform."""

from __future__ import annotations

from typing import Any

from voxloom._errors import TransformError


def check_transform(transform: Any) -> None:
    """Raise TransformError unless `transform` can be called with what it transforms.

    Examples
    --------
    >>> check_transform(abs)
    """
    if not callable(transform):
        raise TransformError(f"a transform is callable, got {type(transform).__name__}")
    if isinstance(transform, type):
        name = transform.__name__
        raise TransformError(f"{name} is a class; wrap a transform made of it: wrap({name}(...))")
