"""Turning finished patches into what a trainer takes: subjects, or batches at once."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self
from weakref import WeakKeyDictionary

import numpy as np
import torch

from voxloom._errors import SubjectError
from voxloom.geometry import Affine, Box, Index3
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
        self._known: list[_Known] = []
        self._layout = Layout((), 0)
        self._origins: list[Index3] = []
        self._locations: list[list[int]] = []
        self.seconds = 0.0

    def add(self, patch: Patch) -> None:
        """Take the next patch; it may be released after that.

        Raises
        ------
        SubjectError
            If it has other items than the first, or images of another shape.
        """
        start = time.perf_counter()
        if not self._outlines:
            self._layout = patch.layout
        self._outlines.append(patch.outline)
        self._known.append(_known(patch.outline))
        self._check_alike(patch)
        self._voxels.add(patch)
        self._origins.append(patch.origin)
        self._locations.append(_location(patch))
        self.seconds += time.perf_counter() - start

    def batch(self) -> dict[str, Any]:
        """Return the batch, once all patches were added."""
        start = time.perf_counter()
        voxels = self._voxels.tensors()
        batch = {name: self._collate(name) for name in names_of_batch(self._outlines)}
        affines = _moved_affines(self._known, self._origins)
        for name, affine in zip(self._known[0].images, affines, strict=True):
            batch[name] = {DATA: voxels[name], AFFINE: torch.from_numpy(affine), **batch[name]}
        locations = np.array(self._locations, dtype=np.int64)
        batch[INDEX_INI] = torch.from_numpy(locations[:, :3].copy())
        batch[LOCATION] = torch.from_numpy(locations)
        self.seconds += time.perf_counter() - start
        return batch

    def _check_alike(self, patch: Patch) -> None:
        first, outline = self._outlines[0], patch.outline
        names = self._known[0].names, self._known[-1].names
        if names[0] != names[1] and not has_same_items(first, outline):
            raise SubjectError(
                f"patches of one batch have the same items, got {sorted(names[0])} from "
                f"{first.describe()} and {sorted(names[1])} from {outline.describe()}"
            )
        if patch.layout == self._layout:
            return
        before = {field.name: field.shape for field in self._layout.fields}
        for field in patch.layout.fields:
            if field.shape != before[field.name]:
                raise SubjectError(
                    f"image {field.name!r} has shape {field.shape} in a patch of "
                    f"{outline.describe()}, but {before[field.name]} earlier in the batch; give "
                    f"it one number of channels in every subject, for example by a transform"
                )

    def _collate(self, name: str) -> Any:
        """Return what a batch has under a name; of images, all but voxels and affines."""
        images = [known.images.get(name) for known in self._known]
        first = images[0]
        if first is None:
            return _together(outline[name] for outline in self._outlines)
        alike = [image for image in images if image is not None and image.keys() == first.keys()]
        if len(alike) < len(images):
            check_same_metadata(name, [outline[name] for outline in self._outlines])
        return {key: _together(image[key] for image in alike) for key in first}


@dataclass(frozen=True, slots=True)
class _Known:
    """What batches need of a subject again and again.

    Attributes
    ----------
    names : frozenset of str
        Its items.
    images : dict
        The metadata of each image, all but its affine.
    affines : (I, 4, 4) float64
        Those of its images.
    """

    names: frozenset[str]
    images: dict[str, dict[str, Any]]
    affines: Affine

    @classmethod
    def of(cls, outline: Subject) -> Self:
        images = outline.get_images_dict(intensity_only=False)
        metadata = {
            name: {key: image[key] for key in image if key not in (DATA, AFFINE)}
            for name, image in images.items()
        }
        affines = np.array([image.affine for image in images.values()])
        return cls(frozenset(outline), metadata, affines)


# Where no transform makes an outline for each patch, the same few come in batch after batch.
_all_known: WeakKeyDictionary[Subject, _Known] = WeakKeyDictionary()


def _known(outline: Subject) -> _Known:
    known = _all_known.get(outline)
    if known is None:
        known = _all_known[outline] = _Known.of(outline)
    return known


def _together(values: Iterable[Any]) -> Any:
    return collate_metadata(list(map(own_value, values)))


def _moved_affines(all_known: list[_Known], origins: list[Index3]) -> Affine:
    """Return the affines of each image in all patches, ``(I, B, 4, 4)``."""
    first_voxels = np.array([(*origin, 1.0) for origin in origins])
    affines = np.array([known.affines for known in all_known])
    affines[:, :, :3, 3] = np.einsum("bnij,bj->bni", affines[:, :, :3], first_voxels)
    return np.ascontiguousarray(affines.swapaxes(0, 1))


def _image(patch: Patch, name: str) -> Image:
    return patch.outline.get_image(name)


def _location(patch: Patch) -> list[int]:
    fin = [ini + n for ini, n in zip(patch.index_ini, patch.size, strict=True)]
    return [*patch.index_ini, *fin]
