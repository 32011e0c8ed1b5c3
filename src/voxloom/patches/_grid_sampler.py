"""The grid sampler: all patches of a subject, in order, for inference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import index as as_index
from typing import Any, SupportsIndex, final

import numpy as np

from voxloom._errors import GridError, SamplerError
from voxloom.geometry import Box, Index3, Shape3
from voxloom.patches._cut import cut
from voxloom.patches._grid import Grid, Locations, as_index3, parse_patch_overlap
from voxloom.patches._padding import PaddingMode, parse_padding_mode
from voxloom.patches._size import parse_patch_size
from voxloom.subjects import INDEX_INI, LOCATION, Subject, kind_of, teach_default_collate


@final
@dataclass(frozen=True, slots=True, eq=False, init=False)
class GridSampler:
    """All patches of a regular grid over a subject, in order: for inference.

    It is a sequence of patches, and a map-style data set for a plain
    `torch.utils.data.DataLoader`, workers included.

    Parameters
    ----------
    subject : Subject, optional
        Where patches are cut. Without it, give one at each call: ``sampler(subject)``.
    patch_size : int or three int
        Voxels of a patch.
    patch_overlap : int or three int
        Voxels that neighbours share at least; even, and smaller than the patch.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        If given, the grid covers the volume and half the overlap around it, so that a voxel
        at the border is as far inside its patch as any other; a volume smaller than the
        patch is continued to its size. Only overhanging patches are padded, never the
        volume. `GridAggregator` crops the padding off.

    Raises
    ------
    PatchSizeError
        A ValueError, if a size or overlap cannot be used.
    PatchTooLargeError
        A ValueError and RuntimeError, if the patch is larger than the volume and there is no
        padding mode.
    SamplerError
        A TypeError and ValueError, if `subject` is something else.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 10, 10, 10))))
    >>> sampler = GridSampler(subject, patch_size=6, patch_overlap=2)
    >>> len(sampler), sampler[-1]["location"].tolist()
    (8, [4, 4, 4, 10, 10, 10])
    """

    subject: Subject | None
    patch_size: Shape3
    patch_overlap: Shape3
    padding_mode: PaddingMode | None

    def __init__(
        self,
        subject: Subject | None = None,
        patch_size: Any = None,
        patch_overlap: Any = 0,
        padding_mode: PaddingMode | None = None,
    ) -> None:
        size = parse_patch_size(patch_size)
        object.__setattr__(self, "subject", subject)
        object.__setattr__(self, "patch_size", size)
        object.__setattr__(self, "patch_overlap", parse_patch_overlap(patch_overlap, size))
        object.__setattr__(self, "padding_mode", parse_padding_mode(padding_mode))
        if subject is not None:
            self.grid_of(subject)

    @property
    def grid(self) -> Grid:
        """The grid over the sampler's own subject."""
        return self.grid_of(self._own_subject())

    @property
    def locations(self) -> Locations:
        """Places of the patches of the sampler's own subject, ``(N, 6)`` int64, sorted.

        With a padding mode they count voxels of the padded volume.
        """
        return self.grid.locations

    def grid_of(self, subject: Subject) -> Grid:
        """Return the grid over a subject, after checking that its images share a space."""
        if not isinstance(subject, Subject):
            raise SamplerError(f"GridSampler takes a voxloom.Subject, got {kind_of(subject)}")
        return self._grid_over(subject.space.spatial_shape, subject.describe())

    def places(self, spatial_shape: Shape3) -> list[Index3]:
        """Return the first voxels of all patches of a volume, in order.

        They count voxels of the volume itself, so with a padding mode the first ones are
        negative: cut with ``cut(subject, Box.at(place, patch_size), padding_mode)``.

        Examples
        --------
        >>> GridSampler(patch_size=(4, 8, 8)).places((8, 8, 8))
        [(0, 0, 0), (4, 0, 0)]
        """
        grid = self._grid_over(spatial_shape)
        first = grid.locations[:, :3] - np.array(grid.border)
        return [as_index3(place) for place in first.tolist()]

    def __call__(
        self, subject: Subject | None = None, num_patches: int | None = None
    ) -> Iterator[Subject]:
        """Return a generator of all patches of `subject`, or of the sampler's own.

        Raises
        ------
        GridError
            A ValueError, if `num_patches` is given: a grid has as many as it has.
        """
        if num_patches is not None:
            raise GridError(
                f"a grid has as many patches as cover the volume and does not support limiting "
                f"the number of patches, got num_patches={num_patches}; leave it out, or take the "
                "first ones with itertools.islice"
            )
        subject = self._own_subject() if subject is None else subject
        grid = self.grid_of(subject)
        return (self._cut(subject, grid, number) for number in range(math.prod(grid.counts)))

    def __len__(self) -> int:
        return math.prod(self.grid.counts)

    def __getitem__(self, index: SupportsIndex) -> Subject:
        teach_default_collate()
        number, count = as_index(index), len(self)
        if not -count <= number < count:
            raise IndexError(f"the grid has {count} patches, there is no patch {number}")
        return self._cut(self._own_subject(), self.grid, number % count)

    def __iter__(self) -> Iterator[Subject]:
        return self()

    def _own_subject(self) -> Subject:
        if self.subject is None:
            raise GridError(
                "this GridSampler has no subject; make it with GridSampler(subject, patch_size), "
                "or give one: sampler(subject)"
            )
        return self.subject

    def _grid_over(self, spatial_shape: Shape3, name: str = "the volume") -> Grid:
        padded = self.padding_mode is not None
        return Grid.over(
            spatial_shape, self.patch_size, self.patch_overlap, padded=padded, name=name
        )

    def _cut(self, subject: Subject, grid: Grid, number: int) -> Subject:
        import torch

        location = grid.location(number)
        first = as_index3([n - b for n, b in zip(location[:3], grid.border, strict=True)])
        patch = cut(subject, Box.at(first, grid.patch_size), self.padding_mode)
        if not any(grid.border):
            return patch
        place = torch.tensor(location, dtype=torch.int64)
        return patch.replace(**{INDEX_INI: place[:3].clone(), LOCATION: place})
