"""Transforms of other libraries, told by where their class is written."""

from __future__ import annotations

from typing import Any, Final

from voxloom._errors import TransformError

_LIBRARIES: Final = {"monai": "MONAI", "torchio": "TorchIO"}


def check_not_foreign(transform: Any, where: str) -> None:
    """Raise TransformError if a transform is MONAI's or TorchIO's and was not wrapped.

    Nothing is imported: a class says in which module it was written.

    Parameters
    ----------
    transform : callable
        What would be called with a subject.
    where : str
        What it was given to, and how, as ``Queue(..., patch_transform={})``.

    Examples
    --------
    >>> check_not_foreign(abs, "SubjectsDataset(subjects, {})")
    """
    library = type(transform).__module__.partition(".")[0]  # a class of the user may do more
    if library in _LIBRARIES:
        advised = where.format(f"voxloom.adapters.{library}.wrap(transform)")
        raise TransformError(
            f"{type(transform).__name__} is a transform of {_LIBRARIES[library]} and does not "
            f"take our subjects; wrap it: {advised}"
        )
