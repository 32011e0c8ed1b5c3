"""Turning finished patches into what a trainer takes: subjects, or batches at once."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from voxloom._errors import SubjectError
from voxloom.geometry import Affine, Box
from voxloom.loading._device import Unturned
from voxloom.loading._running import Patch
from voxloom.loading._slots import Layout
from voxloom.loading._voxels import BatchVoxels, CopiedVoxels
from voxloom.subjects import (
    AFFINE,
    DATA,
    INDEX_INI,
    LOCATION,
    Image,
    Subject,
    check_same_metadata,
    collate_metadata,
    has_same_items,
    names_of_batch,
    own_metadata,
    own_value,
)


def as_subject_patch(patch: Patch) -> Subject:
    """Return a patch as a subject that owns its memory."""
    location = torch.tensor(_location(patch), dtype=torch.int64)
    box = Box.at(patch.origin, patch.size)
    images = {
        name: _image(patch, name).with_data(
            voxels.copy(), _image(patch, name).space.crop(box).affine
        )
        for name, voxels in patch.voxels.items()
    }
    position = {INDEX_INI: location[:3].clone(), LOCATION: location}
    return patch.outline.replace(**{**own_metadata(patch.outline), **images, **position})


class BatchBuilder:
    """Makes of some patches the batch that `collate` makes.

    Parameters
    ----------
    size : int
        Number of patches.
    voxels : BatchVoxels, optional
        How their voxels come together; by default each is copied, once.

    Attributes
    ----------
    seconds : float
        How long it took until now.
    """

    def __init__(self, size: int, voxels: BatchVoxels | None = None) -> None:
        self._voxels = CopiedVoxels(size) if voxels is None else voxels
        self._outlines: list[Subject] = []
        self._layout = Layout((), 0)
        self._origins = np.ones((size, 4))
        self._locations = np.empty((size, 6), dtype=np.int64)
        self.seconds = 0.0

    def add(self, patch: Patch) -> None:
        """Take the next patch; it may be released after that.

        Raises
        ------
        SubjectError
            If it has other items than the first, or images of another shape.
        """
        start, index = time.perf_counter(), len(self._outlines)
        if not self._outlines:
            self._layout = patch.layout
        self._outlines.append(patch.outline)
        _check_alike(self._outlines[0], self._layout, patch)
        self._voxels.add(patch)
        self._origins[index, :3] = patch.origin
        self._locations[index] = _location(patch)
        self.seconds += time.perf_counter() - start

    def batch(self) -> dict[str, Any]:
        """Return the batch, once all patches were added."""
        start = time.perf_counter()
        voxels = self._voxels.tensors()
        batch = {
            name: _collate_item(name, self._outlines, voxels, self._origins)
            for name in names_of_batch(self._outlines)
        }
        batch[INDEX_INI] = torch.from_numpy(self._locations[:, :3].copy())
        batch[LOCATION] = torch.from_numpy(self._locations)
        self.seconds += time.perf_counter() - start
        return batch


def _check_alike(first: Subject, layout: Layout, patch: Patch) -> None:
    if not has_same_items(first, patch.outline):
        raise SubjectError(
            f"patches of one batch have the same items, got {sorted(first)} from "
            f"{first.describe()} and {sorted(patch.outline)} from {patch.outline.describe()}"
        )
    if patch.layout == layout:
        return
    known = {field.name: field for field in layout.fields}
    for field in patch.layout.fields:
        before = known[field.name]
        if field.shape != before.shape:
            raise SubjectError(
                f"image {field.name!r} has shape {field.shape} in a patch of "
                f"{patch.outline.describe()}, but {before.shape} earlier in the batch; give it "
                f"one number of channels in every subject, for example by a transform"
            )


def _collate_item(
    name: str,
    outlines: list[Subject],
    voxels: Mapping[str, torch.Tensor | Unturned],
    origins: Affine,
) -> Any:
    values = [outline[name] for outline in outlines]
    if not isinstance(values[0], Image):
        return collate_metadata([own_value(value) for value in values])
    check_same_metadata(name, values)
    item: dict[str, Any] = {DATA: voxels[name], AFFINE: _moved_affines(values, origins)}
    for key in values[0]:
        if key not in item:
            item[key] = collate_metadata([own_value(image[key]) for image in values])
    return item


def _moved_affines(images: list[Image], origins: Affine) -> torch.Tensor:
    affines = np.array([image.affine for image in images])
    affines[:, :3, 3] = np.einsum("bij,bj->bi", affines[:, :3], origins)
    return torch.from_numpy(affines)


def _image(patch: Patch, name: str) -> Image:
    return patch.outline.get_image(name)


def _location(patch: Patch) -> list[int]:
    fin = [ini + n for ini, n in zip(patch.index_ini, patch.size, strict=True)]
    return [*patch.index_ini, *fin]
