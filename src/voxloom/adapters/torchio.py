"""TorchIO's transforms on our subjects, and subjects as TorchIO's.

Voxels travel over the memory of the image, with its affine. TorchIO comes with
``pip install 'voxloom[torchio]'``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

from voxloom._errors import TransformError
from voxloom._extras import import_extra
from voxloom.adapters._seed import Randomness, seed_from
from voxloom.adapters._transform import check_transform
from voxloom.loading._seeding import seeded_globals
from voxloom.subjects import (
    AFFINE,
    DATA,
    INTENSITY,
    LABEL,
    PATH,
    STEM,
    TYPE,
    Image,
    LabelMap,
    ScalarImage,
    Subject,
    as_subject,
    load_copy,
)

_OWN_KEYS: Final = (DATA, AFFINE, TYPE, PATH, STEM)
_OURS: Final[dict[str, type[Image]]] = {INTENSITY: ScalarImage, LABEL: LabelMap}


def wrap(transform: Callable[[Any], Any]) -> TorchioTransform:
    """Return a transform of TorchIO 1.x as a transform of our subjects.

    Parameters
    ----------
    transform : callable
        Any `torchio.Transform`, a Compose, or a function of a `torchio.Subject`.

    Returns
    -------
    TorchioTransform
        Picklable, if `transform` is.

    Raises
    ------
    TransformError
        A ValueError, if it cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> import torchio
    >>> flip = wrap(torchio.RandomFlip(flip_probability=1))
    >>> subject = Subject(t1=ScalarImage(tensor=np.arange(3.0).reshape(1, 3, 1, 1)), age=42)
    >>> flipped = flip(subject, rng=0)
    >>> flipped.t1.array.ravel().tolist(), flipped.age
    ([2.0, 1.0, 0.0], 42)
    """
    check_transform(transform)
    return TorchioTransform(transform)


@final
@dataclass(frozen=True, slots=True)
class TorchioTransform:
    """A transform of TorchIO that takes and gives our subjects. Made by `wrap`."""

    transform: Callable[[Any], Any]

    def __call__(self, subject: Subject, rng: Randomness = None) -> Subject:
        """Return the transformed subject; what is drawn depends on `rng` alone.

        Parameters
        ----------
        subject : Subject
            A volume or a patch.
        rng : numpy.random.Generator or int, optional
            Gives one word ``s``. The result is that of the transform after
            ``torch.manual_seed(s % 2**63)``; the global generators are put back afterwards.
            None takes ``s`` from torch's generator.

        Raises
        ------
        TransformError
            A ValueError, if the transform does not give a `torchio.Subject`.
        """
        as_subject(subject, "what a transform of TorchIO is called with")
        seed = seed_from(rng)
        theirs = from_subject(subject if self._copies() else load_copy(subject))
        with seeded_globals(seed):
            changed = self.transform(theirs)
        if not isinstance(changed, type(theirs)):
            raise TransformError(
                f"{self.transform!r} should give a torchio.Subject, got {type(changed).__name__}"
            )
        return to_subject(changed, like=subject)

    def _copies(self) -> bool:
        is_theirs = isinstance(self.transform, _torchio().Transform)
        return is_theirs and bool(getattr(self.transform, "copy", False))


def from_subject(subject: Subject) -> Any:
    """Return a subject as a `torchio.Subject`.

    Parameters
    ----------
    subject : Subject
        Images that are not loaded are decoded.

    Returns
    -------
    torchio.Subject
        Its images share the memory of ``image.data`` (booleans excepted, which TorchIO turns
        into uint8); metadata are passed on.

    Examples
    --------
    >>> import numpy as np
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 2, 3, 4))), age=42)
    >>> theirs = from_subject(subject)
    >>> theirs["t1"].data.data_ptr() == subject.t1.data.data_ptr(), theirs["age"]
    (True, 42)
    """
    torchio = _torchio()
    kinds = {INTENSITY: torchio.ScalarImage, LABEL: torchio.LabelMap}
    items = dict(subject)
    for name, image in subject.get_images_dict(intensity_only=False).items():
        metadata = {key: image[key] for key in image if key not in _OWN_KEYS}
        kind = kinds.get(image.type, torchio.Image)
        items[name] = kind(tensor=image.data, affine=image.affine, type=image.type, **metadata)
    return torchio.Subject(items)


def to_subject(theirs: Any, like: Subject | None = None) -> Subject:
    """Return a `torchio.Subject` as ours.

    Parameters
    ----------
    theirs : torchio.Subject
        Loaded images share their memory; images that are still on disk stay there, and are
        read by our readers, or by the reader function they were given.
    like : Subject, optional
        Images with a name of this subject keep its path and metadata.

    Examples
    --------
    >>> import torch, torchio
    >>> image = torchio.LabelMap(tensor=torch.zeros(1, 2, 2, 2, dtype=torch.uint8))
    >>> to_subject(torchio.Subject(seg=image, age=42))
    Subject(keys: ('seg', 'age'); images: 1)
    """
    torchio = _torchio()
    made = {
        name: _as_image(value, None if like is None else like.get(name))
        if isinstance(value, torchio.Image)
        else value
        for name, value in theirs.items()
    }
    if like is None:
        return Subject(made)
    return like.replace(**made).without(*(name for name in like if name not in made))


def _as_image(theirs: Any, before: Any) -> Image:
    if isinstance(before, Image) and before.type == theirs.type:
        return before.with_data(theirs.data, theirs.affine)
    kind = _OURS.get(theirs.type, Image)
    metadata = {key: theirs[key] for key in theirs if key not in _OWN_KEYS}
    if theirs.path is None or getattr(theirs, "_loaded", True):
        return kind(tensor=theirs.data, affine=theirs.affine, type=theirs.type, **metadata)
    default = import_extra("torchio.data.io", "torchio").read_image
    reader = None if theirs.reader is default else theirs.reader
    return kind(path=theirs.path, type=theirs.type, reader=reader, **metadata)


def _torchio() -> Any:
    return import_extra("torchio", "torchio")
