"""Values in the cells of a table: written so that they are read back as they were."""

from __future__ import annotations

import json
from typing import Any

from voxloom._errors import LayoutError


def parse_cell(text: str) -> Any:
    """Return what a cell says: a number, a truth value, a list, text, or None if empty.

    A cell that is JSON is what JSON says, so ``01`` stays text and ``"1"`` is text;
    ``True``, ``False``, ``n/a`` and ``NaN`` are understood as other programs write them.

    Examples
    --------
    >>> [parse_cell(text) for text in ("42", "01", "4.5", "True", "", "Oslo", '"7"')]
    [42, '01', 4.5, True, None, 'Oslo', '7']
    """
    if text in ("", "n/a"):
        return None
    if text in ("True", "False"):
        return text == "True"
    try:
        return json.loads(text)
    except ValueError:
        return text


def format_cell(value: Any) -> str:
    """Return the text of a cell that `parse_cell` reads as `value`.

    Raises
    ------
    LayoutError
        If the value is not made of text, numbers, truth values, lists and mappings.

    Examples
    --------
    >>> [format_cell(value) for value in (42, "01", "7", None, "", True)]
    ['42', '01', '"7"', '', '""', 'true']
    """
    if value is None:
        return ""
    if isinstance(value, str) and value and parse_cell(value) == value:
        return value
    try:
        return json.dumps(_plain(value), ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise LayoutError(
            f"a table cannot hold {value!r} of type {type(value).__name__}; it holds text, "
            "numbers, truth values, and lists or mappings of them"
        ) from error


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of NumPy or torch
        return value.tolist()
    return value
