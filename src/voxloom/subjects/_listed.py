"""What a data set is made of, whatever holds it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voxloom._errors import SubjectError
from voxloom.subjects._subject import Subject, as_subject


def listed(subjects: Any) -> list[Subject]:
    """Return the subjects of a sequence, an iterator, or a torch Subset, in order.

    Raises
    ------
    SubjectError
        If there are none, or something else is among them.
    """
    # A Subset has __getitem__ alone, and is what random_split makes of a list of subjects.
    if not isinstance(subjects, Iterable) and not hasattr(subjects, "__getitem__"):
        raise SubjectError(f"a data set is made of subjects, got {type(subjects).__name__}")
    given = list(_as_made(subjects))
    if not given:
        raise SubjectError("a data set has at least one subject, got none")
    for index, subject in enumerate(given):
        as_subject(subject, f"item {index} of the subjects")
    return given


def _as_made(subjects: Any) -> Iterable[Any]:
    """Look through data sets without a transform, whose items would all be decoded here."""
    dataset, numbers = subjects, None
    if hasattr(subjects, "indices"):
        dataset, numbers = subjects.dataset, subjects.indices
    if not hasattr(dataset, "dry_iter") or dataset.transform is not None:
        return subjects  # type: ignore[no-any-return]
    made = dataset.dry_iter()
    return made if numbers is None else [made[number] for number in numbers]
