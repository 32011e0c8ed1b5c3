"""Data sets of subjects."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from voxloom._errors import SubjectError
from voxloom.subjects._collate import teach_default_collate
from voxloom.subjects._image import Image
from voxloom.subjects._subject import Subject, as_subject

Transform = Callable[[Subject], Subject]


class SubjectsDataset:
    """Subjects that are loaded and transformed when they are asked for.

    A map-style data set for `torch.utils.data.DataLoader` and for `Queue`. The subjects
    given are never changed, and nothing is kept loaded.

    Parameters
    ----------
    subjects : iterable of Subject
        The subjects, in order.
    transform : callable, optional
        Takes the loaded subject and returns a subject.
    load_getitem : bool
        Whether ``dataset[i]`` decodes all images.

    Raises
    ------
    SubjectError
        A ValueError and TypeError, if there are no subjects or something else is among them.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import ScalarImage
    >>> image = ScalarImage(tensor=np.ones((1, 2, 2, 2), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)], lambda s: s.replace(seen=True))
    >>> len(dataset), dataset[0].seen
    (1, True)
    """

    def __init__(
        self,
        subjects: Iterable[Subject],
        transform: Transform | None = None,
        load_getitem: bool = True,
    ) -> None:
        if not isinstance(subjects, Iterable):
            raise SubjectError(f"a data set is made of subjects, got {type(subjects).__name__}")
        self._subjects = list(subjects)
        if not self._subjects:
            raise SubjectError("a data set has at least one subject, got none")
        for index, subject in enumerate(self._subjects):
            as_subject(subject, f"item {index} of the subjects")
        self.set_transform(transform)
        self.load_getitem = load_getitem

    def set_transform(self, transform: Transform | None) -> None:
        """Set the callable that is applied to each loaded subject."""
        if transform is not None and not callable(transform):
            raise SubjectError(f"a transform is callable, got {type(transform).__name__}")
        self._transform = transform

    @property
    def transform(self) -> Transform | None:
        """The callable that is applied to each loaded subject."""
        return self._transform

    def dry_iter(self) -> Sequence[Subject]:
        """Return the subjects as they were given, without reading anything."""
        return tuple(self._subjects)

    def __len__(self) -> int:
        return len(self._subjects)

    def __getitem__(self, index: Any) -> Subject:
        teach_default_collate()
        subject = self._subjects[self._checked_index(index)]
        subject = load_copy(subject) if self.load_getitem else lazy_copy(subject)
        if self._transform is None:
            return subject
        return as_subject(self._transform(subject), "the transform of the data set")

    def __iter__(self) -> Iterator[Subject]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"SubjectsDataset({len(self)} subjects, transform={self._transform!r})"

    def _checked_index(self, index: Any) -> int:
        try:
            number = int(index)
        except (TypeError, ValueError, RuntimeError):
            raise SubjectError(f"a subject is asked for by its number, got {index!r}") from None
        if not -len(self) <= number < len(self):
            raise IndexError(f"the data set has {len(self)} subjects, there is no {number}")
        return number


def load_copy(subject: Subject) -> Subject:
    """Return the subject with its voxels decoded, and everything in memory of its own."""
    return subject.replace(**{name: _own_copy(value, load=True) for name, value in subject.items()})


def lazy_copy(subject: Subject) -> Subject:
    """Return the subject in memory of its own, without decoding what is not decoded."""
    copied = {name: _own_copy(value, load=False) for name, value in subject.items()}
    return subject.replace(**copied)


def _own_copy(value: Any, *, load: bool) -> Any:
    if isinstance(value, Image):
        image = copy.deepcopy(value)
        return image if image.is_loaded or not load else image.with_data(image.read_own())
    # Only what a transform may change in place: a model or an open file is passed on.
    changeable = isinstance(value, list | dict | set | np.ndarray) or hasattr(value, "detach")
    return copy.deepcopy(value) if changeable else value
