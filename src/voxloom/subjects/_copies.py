"""Copies of subjects that a transform may change in place."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from voxloom.io import Array
from voxloom.subjects._image import Image
from voxloom.subjects._subject import Subject


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


def _own_copy(value: Any, *, load: bool) -> Any:
    if isinstance(value, Image):
        image = copy.deepcopy(value)
        return image if image.is_loaded or not load else image.loaded_copy()
    # Only what a transform may change in place: a model or an open file is passed on.
    changeable = isinstance(value, list | dict | set | np.ndarray) or hasattr(value, "detach")
    return copy.deepcopy(value) if changeable else value
