"""Making a subject of what a layout says, with errors that say where it says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxloom._errors import LayoutError, SubjectError
from voxloom.subjects._subject import Subject


def make_subject(items: Mapping[str, Any], where: str) -> Subject:
    """Return a subject; `where` is the file, and the place in it, that its items come from.

    Raises
    ------
    LayoutError
        If a subject cannot hold an item, as a column that is called like one of its methods.
    """
    try:
        return Subject(items)
    except SubjectError as error:
        raise LayoutError(f"{where}: {error}") from error
