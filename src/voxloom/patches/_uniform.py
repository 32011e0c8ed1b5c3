"""Every place that fits is equally likely."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from voxloom._random import bounded, draw_word
from voxloom.geometry import Box, Index3, Shape3
from voxloom.patches._sampler import Draw, PatchSampler
from voxloom.patches._valid import index_ini_of
from voxloom.subjects import Subject

if TYPE_CHECKING:
    import torch


@final
class UniformSampler(PatchSampler):
    """Chooses every place at which a patch fits with the same probability.

    Parameters and errors are those of `PatchSampler`.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 8, 8, 8))))
    >>> patches = list(UniformSampler((2, 4, 8))(subject, 3))
    >>> [patch.spatial_shape for patch in patches]
    [(2, 4, 8), (2, 4, 8), (2, 4, 8)]
    """

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        """Return the first voxel of one patch; takes three words from `rng`."""
        return self.prepare(subject)(rng)

    def prepare(self, subject: Subject) -> Draw:
        """Check a subject and return what locates its patches. See `PatchSampler.prepare`."""
        self.check(subject)
        return partial(_draw_place, self._centres_in(subject), self.patch_size)

    def get_probability_map(self, subject: Subject) -> torch.Tensor:
        """Return ones, float32 ``(1, W, H, D)``: no voxel is preferred."""
        import torch

        return torch.ones((1, *subject.spatial_shape))


def _draw_place(centres: Box, patch_size: Shape3, rng: np.random.Generator) -> Index3:
    i, j, k = (
        first + bounded(draw_word(rng), count)
        for first, count in zip(centres.index_ini, centres.size, strict=True)
    )
    return index_ini_of((i, j, k), patch_size)
