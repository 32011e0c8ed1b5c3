"""What a subject knows besides its images, as JSON and back."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from voxloom._errors import PreparedError

_ARRAY: Final = "voxloom array"
_TENSOR: Final = "voxloom tensor"
_NUMBER: Final = "voxloom number"
_TUPLE: Final = "voxloom tuple"
_PAIRS: Final = "voxloom pairs"
_MARKS: Final = {_ARRAY, _TENSOR, _NUMBER, _TUPLE, _PAIRS}


def to_json(name: str, value: Any) -> Any:
    """Return `value` in JSON's types, arrays and tensors of numbers included.

    Raises
    ------
    PreparedError
        If it holds something that JSON cannot say; `name` says what it belongs to.

    Examples
    --------
    >>> to_json("age", 42), to_json("place", (1, 2))
    (42, {'voxloom tuple': [1, 2]})
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_NUMBER: repr(value)}
    if isinstance(value, np.generic | np.ndarray) and np.asarray(value).dtype.kind in "biuf":
        array = np.asarray(value)
        return {_ARRAY: to_json(name, array.tolist()), "dtype": array.dtype.name}
    if hasattr(value, "detach"):
        return {_TENSOR: to_json(name, value.detach().cpu().numpy())}
    if isinstance(value, tuple):
        return {_TUPLE: [to_json(name, item) for item in value]}
    if isinstance(value, list):
        return [to_json(name, item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(key, str) for key in value) and not _MARKS & value.keys():
            return {key: to_json(name, item) for key, item in value.items()}
        return {_PAIRS: [[to_json(name, key), to_json(name, value[key])] for key in value]}
    raise PreparedError(
        f"{name!r} is of type {type(value).__name__}, which a prepared store does not keep: it "
        "keeps text, numbers, arrays, and lists, tuples and dictionaries of them; convert it, or "
        "leave it out with subject.without(...)"
    )


def from_json(value: Any) -> Any:
    """Return what `to_json` was given.

    Examples
    --------
    >>> from_json(to_json("place", (1, float("inf"))))
    (1, inf)
    """
    if isinstance(value, list):
        return [from_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    if _ARRAY in value:
        return np.array(from_json(value[_ARRAY]), dtype=value["dtype"])
    if _TENSOR in value:
        import torch

        return torch.from_numpy(from_json(value[_TENSOR]))
    if _NUMBER in value:
        return float(value[_NUMBER])
    if _TUPLE in value:
        return tuple(from_json(item) for item in value[_TUPLE])
    if _PAIRS in value:
        return {from_json(key): from_json(item) for key, item in value[_PAIRS]}
    return {key: from_json(item) for key, item in value.items()}
