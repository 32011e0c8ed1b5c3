"""Changing each patch in the worker that cut it, before it is handed out."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxloom._random import Stream
from voxloom.geometry import Box, Index3, Shape3
from voxloom.loading._seeding import call_seeded
from voxloom.loading._slots import Layout
from voxloom.loading._window import Bytes
from voxloom.patches import PaddingMode, cut
from voxloom.subjects import INDEX_INI, LOCATION, Image, Subject, as_subject
from voxloom.subjects._foreign import check_not_foreign

PatchTransform = Callable[[Subject], Subject]


@dataclass(frozen=True, slots=True)
class Changed:
    """What a patch transform made of a patch, all but its voxels.

    Attributes
    ----------
    outline : bytes
        The patch with one voxel an image, pickled here: the pickler of `multiprocessing` would
        open a file for each tensor among the metadata.
    layout : Layout
        What its images look like in memory; no two patches need be alike.
    size : (w, h, d)
        Size of what was cut, before the change.
    """

    outline: bytes
    layout: Layout
    size: Shape3

    def unpack(self) -> Subject:
        """Return the outline: a patch without its voxels, with the affines it has."""
        outline: Subject = pickle.loads(self.outline)
        return outline


@dataclass(frozen=True, slots=True, eq=False)
class ChangedPatch:
    """A patch that a transform gave back, before it is written anywhere."""

    subject: Subject
    layout: Layout

    def write(self, memory: Bytes) -> None:
        """Write the voxels into `memory`, as `layout` says."""
        for name, voxels in self.layout.views(memory).items():
            np.copyto(voxels, self.subject.get_image(name).array)

    def pack(self, size: Shape3) -> Changed:
        """Return what has to cross beside the voxels."""
        known = [name for name in (INDEX_INI, LOCATION) if name in self.subject]
        outline = outline_of(self.subject.without(*known))
        return Changed(pickle.dumps(outline, pickle.HIGHEST_PROTOCOL), self.layout, size)


def check_patch_transform(transform: Any) -> PatchTransform | None:
    """Return the transform, if it is one or None.

    Raises
    ------
    TypeError
        If it cannot be called.
    TransformError
        A ValueError, if it is another library's and takes no subject.
    """
    if transform is not None and not callable(transform):
        raise TypeError(f"patch_transform is callable, got {type(transform).__name__}")
    check_not_foreign(transform, "Queue(..., patch_transform={})")
    checked: PatchTransform | None = transform
    return checked


def cut_own(
    volume: Subject, box: Box, padding_mode: PaddingMode | None, border: Index3 = (0, 0, 0)
) -> Subject:
    """Return a patch that a transform may change in place: it shares nothing with the next.

    Its places count `border` voxels of padding before the volume, as those of a grid do.
    """
    patch = cut(volume, box, padding_mode)
    first = patch[INDEX_INI].new_tensor(border)
    patch = patch.replace(
        **{INDEX_INI: patch[INDEX_INI] + first, LOCATION: patch[LOCATION] + first.repeat(2)}
    )
    kinds = (list, dict, set, np.ndarray)
    owned = {
        name: copy.deepcopy(value)
        for name, value in patch.items()
        if isinstance(value, kinds) or hasattr(value, "detach")
    }
    return patch.replace(**owned)


def change_patch(
    transform: PatchTransform, given: Subject, stream: Stream, *, patch: int, epoch: int
) -> ChangedPatch:
    """Return what a transform makes of a patch.

    It gets what ``sampler(subject)`` gives, with ``index_ini`` and ``location`` as tensors. What
    it draws is decided by the place in `stream` alone.

    Raises
    ------
    SubjectError
        If it gives back something else than a subject.
    """
    changed = call_seeded(transform, given, stream, patch=patch, epoch=epoch)
    subject = as_subject(changed, "the patch transform")
    return ChangedPatch(subject, Layout.of_patch(subject))


def outline_of(subject: Subject) -> Subject:
    """Return the subject with one voxel an image: what the trainer needs to know beside them."""
    images = subject.get_images_dict(intensity_only=False)
    return subject.replace(**{name: _one_voxel(image) for name, image in images.items()})


def _one_voxel(image: Image) -> Image:
    voxel = np.zeros((image.shape[0], 1, 1, 1), dtype=image.dtype)
    return image.with_data(voxel, image.affine)
