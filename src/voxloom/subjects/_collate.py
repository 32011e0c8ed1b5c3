"""How subjects become a batch: a dictionary of stacked images and collated metadata."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from voxloom._errors import SubjectError
from voxloom.subjects._image import Image
from voxloom.subjects._keys import DATA
from voxloom.subjects._subject import Subject


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
    first = batch[0]
    for other in batch:
        if other.keys() != first.keys():
            raise SubjectError(
                f"subjects of one batch have the same items, got {sorted(first)} in "
                f"{first.describe()} and {sorted(other)} in {other.describe()}"
            )
    return {name: _collate_item(name, [subject[name] for subject in batch]) for name in first}


def collate_metadata(values: Sequence[Any]) -> Any:
    """Stack numbers and arrays of equal shape into a tensor; list anything else."""
    import torch

    kinds = {type(value) for value in values}
    if kinds <= {bool} or kinds <= {int} or kinds <= {float}:
        dtype = torch.float64 if kinds == {float} else None
        return torch.tensor(values, dtype=dtype)
    if kinds <= {int, float}:
        return torch.tensor(values, dtype=torch.float64)
    if all(isinstance(v, np.ndarray | np.generic) and v.dtype.kind in "biuf" for v in values):
        values = [torch.as_tensor(np.array(value)) for value in values]
    if all(isinstance(value, torch.Tensor) for value in values):
        shapes = {value.shape for value in values}
        return torch.stack(list(values)) if len(shapes) == 1 else list(values)
    if all(isinstance(value, dict) and value.keys() == values[0].keys() for value in values):
        return {key: collate_metadata([value[key] for value in values]) for key in values[0]}
    return list(values)


@functools.cache
def teach_default_collate() -> None:
    """Let torch's own `default_collate` make the same batches, so a plain DataLoader works."""
    from torch.utils.data._utils.collate import default_collate_fn_map

    def collate_subjects(batch: list[Subject], *, collate_fn_map: Any = None) -> dict[str, Any]:
        return collate(batch)

    default_collate_fn_map[Subject] = collate_subjects


def _collate_item(name: str, values: list[Any]) -> Any:
    if not isinstance(values[0], Image):
        return collate_metadata(values)
    return {key: _collate_image(name, key, values) for key in values[0]}


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
