"""Copies of subjects that somebody may change in place."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxloom.io import Array
from voxloom.subjects._image import Image
from voxloom.subjects._subject import Subject

_IMMUTABLE: Final = (str, int, float, type(None))


def load_copy(subject: Subject, voxels: Mapping[str, Array] | None = None) -> Subject:
    """Return the subject with its voxels decoded, and everything in memory of its own.

    `voxels` are those of images that need not be decoded, in memory that may be taken.
    """
    given = voxels or {}
    own = {name: _own_copy(value, load=name not in given) for name, value in subject.items()}
    own.update((name, own[name].loaded_copy(array)) for name, array in given.items())
    return subject.replace(**own)


def lazy_copy(subject: Subject) -> Subject:
    """Return the subject in memory of its own, without decoding what is not decoded."""
    copied = {name: _own_copy(value, load=False) for name, value in subject.items()}
    return subject.replace(**copied)


def own_metadata(subject: Subject) -> dict[str, Any]:
    """Return what a subject holds beside its images, each in memory of its own."""
    return {
        name: own_value(value) for name, value in subject.items() if not isinstance(value, Image)
    }


def own_value(value: Any) -> Any:
    """Return a copy of what may be changed in place: a model or an open file is passed on.

    Examples
    --------
    >>> given = ([1, 2], "text")
    >>> own = own_value(given)
    >>> own == given, own[0] is given[0], own[1] is given[1]
    (True, False, True)
    """
    if isinstance(value, _IMMUTABLE):  # as most are
        return value
    if type(value) is tuple:
        return tuple(own_value(item) for item in value)
    is_record = dataclasses.is_dataclass(value) and not isinstance(value, type)
    holds_others = isinstance(value, list | dict | set | tuple | bytearray | np.ndarray)
    is_tensor = hasattr(value, "detach")
    return copy.deepcopy(value) if is_record or holds_others or is_tensor else value


def _own_copy(value: Any, *, load: bool) -> Any:
    if not isinstance(value, Image):
        return own_value(value)
    image = copy.deepcopy(value)
    return image if image.is_loaded or not load else image.loaded_copy()
