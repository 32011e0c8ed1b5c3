"""Transforms one after the other."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from voxloom._errors import TransformError
from voxloom._random import draw_word
from voxloom.loading._seeding import seeded_globals, seeds_globals, takes_rng
from voxloom.subjects import Subject, Transform, as_subject


def chain(*transforms: Transform) -> Chain:
    """Return one transform that applies these in order.

    Parameters
    ----------
    *transforms : callable
        Each takes a subject and gives one.

    Returns
    -------
    Chain
        Picklable, if all of them are.

    Raises
    ------
    TransformError
        A ValueError, if one cannot be called.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 2, 2, 2))))
    >>> both = chain(lambda s: s.replace(a=1), lambda s: s.replace(b=s.a + 1))
    >>> both(subject).b
    2
    """
    for index, transform in enumerate(transforms):
        if not callable(transform):
            raise TransformError(
                f"a chain is made of callables, number {index} is {type(transform).__name__}"
            )
    return Chain(transforms)


@final
@dataclass(frozen=True, slots=True)
class Chain:
    """Transforms that are applied in order. Made by `chain`."""

    transforms: tuple[Transform, ...]

    @property
    def seeds_globals(self) -> bool:
        """Whether one of them draws from the global generators: workers are processes then."""
        return any(
            seeds_globals(one) or not (takes_rng(one) or _draws_nothing(one))
            for one in self.transforms
        )

    def __call__(self, subject: Subject, rng: np.random.Generator | None = None) -> Subject:
        """Return the subject after all transforms.

        Parameters
        ----------
        subject : Subject
            A volume or a patch.
        rng : numpy.random.Generator, optional
            Passed to each transform that has a parameter ``rng``. Where others draw from the
            global generators of `random`, NumPy or torch, these are seeded from it for the
            call. With None, what they draw is their affair.

        Raises
        ------
        SubjectError
            A TypeError and ValueError, if a transform gives something else than a subject.
        """
        for transform in self.transforms:
            changed = _call(transform, subject, rng)
            subject = as_subject(changed, f"{transform!r} in a chain")
        return subject


def _call(transform: Any, subject: Subject, rng: np.random.Generator | None) -> Any:
    if takes_rng(transform):
        return transform(subject, rng=rng)
    if rng is None or _draws_nothing(transform):
        return transform(subject)
    import torch  # noqa: F401  what draws from it can only be seeded once it is there

    with seeded_globals(draw_word(rng)):
        return transform(subject)


def _draws_nothing(transform: Any) -> bool:
    while isinstance(transform, functools.partial):
        transform = transform.func
    return str(getattr(transform, "__module__", "")).startswith("voxloom.transforms.")
