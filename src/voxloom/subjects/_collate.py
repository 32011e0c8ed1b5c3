"""How subjects become a batch: a dictionary of stacked images and collated metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom._errors import SubjectError
from voxloom.subjects._default_collate import register_in_torch
from voxloom.subjects._image import Image, LabelMap, ScalarImage
from voxloom.subjects._keys import DATA, INTENSITY, LABEL, NUM_SAMPLES, PATH, STEM, TYPE
from voxloom.subjects._subject import Subject

if TYPE_CHECKING:
    import torch


def collate(batch: Sequence[Subject]) -> dict[str, Any]:
    """Return one dictionary for several subjects of equal shape.

    Images become dictionaries: ``batch['t1']['data']`` is a tensor ``(B, C, W, H, D)``,
    ``batch['t1']['affine']`` is ``(B, 4, 4)`` float64. Numbers and arrays are stacked into
    tensors; text and everything else becomes a list of B items.

    Raises
    ------
    SubjectError
        If the subjects do not have the same items.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> image = ScalarImage(tensor=np.zeros((1, 4, 4, 4), dtype=np.float32))
    >>> batch = collate([Subject(t1=image, age=n, site="A") for n in (40, 41)])
    >>> tuple(batch["t1"]["data"].shape), batch["age"].tolist(), batch["site"]
    ((2, 1, 4, 4, 4), [40, 41], ['A', 'A'])
    """
    if not batch:
        raise SubjectError("a batch has at least one subject, got none")
    first = batch[0]
    for other in batch:
        if not has_same_items(first, other):
            raise SubjectError(
                f"subjects of one batch have the same items, got {sorted(first)} in "
                f"{first.describe()} and {sorted(other)} in {other.describe()}"
            )
    names = names_of_batch(batch)
    return {name: _collate_item(name, [subject[name] for subject in batch]) for name in names}


def has_same_items(first: Subject, other: Subject) -> bool:
    """Whether two subjects can be of one batch. Only some may say their ``num_samples``."""
    return set(first) ^ set(other) <= {NUM_SAMPLES}


def names_of_batch(batch: Sequence[Subject]) -> list[str]:
    """Return which items a batch has: ``num_samples`` is left out where only some have it."""
    every = all(NUM_SAMPLES in subject for subject in batch)
    return [name for name in batch[0] if every or name != NUM_SAMPLES]


def split_batch(batch: Mapping[str, Any]) -> list[Subject]:
    """Return the subjects of a batch that `collate` or a DataLoader made, over its memory.

    An image keeps its type, affine and metadata. It is in memory, so its path is left out; in
    place of it, ``image['filename']`` is the name of the file.

    Raises
    ------
    SubjectError
        If it is not a dictionary with a batch of images.

    Examples
    --------
    >>> from voxloom.subjects import LabelMap
    >>> image = LabelMap(tensor=np.zeros((1, 4, 4, 4), dtype=np.uint8))
    >>> batch = collate([Subject(seg=image, age=n) for n in (40, 41)])
    >>> [(subject.seg.type, int(subject.age)) for subject in split_batch(batch)]
    [('label', 40), ('label', 41)]
    """
    images = [key for key, item in batch.items() if isinstance(item, dict) and DATA in item]
    if not images:
        raise SubjectError(
            f"a batch is a dictionary with images, batch['t1']['data']; got {list(batch)}"
        )
    return [_subject_of(batch, images, number) for number in range(len(batch[images[0]][DATA]))]


def _subject_of(batch: Mapping[str, Any], images: list[str], number: int) -> Subject:
    return Subject(
        {
            key: _image_of(item, number) if key in images else _item_of(item, number)
            for key, item in batch.items()
        }
    )


def _image_of(items: dict[str, Any], number: int) -> Image:
    given = {key: _item_of(item, number) for key, item in items.items()}
    path, _ = given.pop(PATH, None), given.pop(STEM, None)
    kind = {INTENSITY: ScalarImage, LABEL: LabelMap}.get(given.get(TYPE, INTENSITY), Image)
    if isinstance(path, str) and path:
        given.setdefault("filename", Path(path).name)
    return kind(tensor=given.pop(DATA), **given)


def _item_of(item: Any, number: int) -> Any:
    if isinstance(item, dict):
        return {key: _item_of(value, number) for key, value in item.items()}
    return item[number]


def collate_metadata(values: Sequence[Any]) -> Any:
    """Stack numbers and arrays of equal shape into a tensor; list anything else.

    Floats are float64, whole numbers int64, in mixture float64; dictionaries with the same
    keys are collated key by key.

    Examples
    --------
    >>> collate_metadata([{"age": 40}, {"age": 41}]), collate_metadata([None, 3])
    ({'age': tensor([40, 41])}, [None, 3])
    """
    kinds = {type(value) for value in values}
    if kinds == {str}:  # as most are
        return list(values)
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return {key: collate_metadata([value[key] for value in values]) for key in values[0]}
    import torch

    if kinds == {bool}:
        return torch.from_numpy(np.array(values))
    if kinds == {int} and all(-(2**63) <= n < 2**63 for n in values):
        return torch.from_numpy(np.array(values, dtype=np.int64))
    if float in kinds and kinds <= {int, float}:
        return torch.from_numpy(np.array([float(value) for value in values]))
    tensors = _as_tensors(values)
    if tensors is None or len({tensor.shape for tensor in tensors}) > 1:
        return list(values)
    return torch.stack(tensors)


def _as_tensors(values: Sequence[Any]) -> list[torch.Tensor] | None:
    import torch

    if all(isinstance(value, torch.Tensor) for value in values):
        return list(values)
    if all(isinstance(v, np.ndarray | np.generic) and _fits_torch(v.dtype) for v in values):
        return [torch.from_numpy(np.array(v, dtype=v.dtype.newbyteorder("="))) for v in values]
    return None


def _fits_torch(dtype: np.dtype[Any]) -> bool:
    return dtype.kind in "biuf" and dtype.itemsize <= 8


def teach_default_collate() -> None:
    """Let torch's own `default_collate` make the same batches, so a plain DataLoader works."""
    import torch.utils.data  # noqa: F401  without torch there is nothing to teach

    register_in_torch(Subject)


def _collate_item(name: str, values: list[Any]) -> Any:
    if not isinstance(values[0], Image):
        return collate_metadata(values)
    check_same_metadata(name, values)
    return {key: _collate_image(name, key, values) for key in values[0]}


def check_same_metadata(name: str, images: Sequence[Any]) -> None:
    """Raise SubjectError unless the items of this name are images with the same metadata."""
    first = set(images[0])
    for image in images:
        if not isinstance(image, Image) or set(image) != first:
            found = sorted(image) if isinstance(image, Image) else type(image).__name__
            raise SubjectError(
                f"image {name!r} is an image with the same metadata in all subjects of one batch, "
                f"got {sorted(first)} and {found}"
            )


def _collate_image(name: str, key: str, images: list[Image]) -> Any:
    if key == DATA:
        shapes = {image.shape for image in images}
        if len(shapes) > 1:
            raise SubjectError(
                f"image {name!r} has different shapes in one batch: {sorted(shapes)}; "
                f"cut patches of one size, or crop or pad the subjects"
            )
        import torch

        # NumPy copies in one thread: torch's threads would fight the workers for the cores
        return torch.from_numpy(np.stack([image.array for image in images]))
    return collate_metadata([image[key] for image in images])
