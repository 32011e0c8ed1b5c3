"""Centres in proportion to a map."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, final

import numpy as np

from voxloom._errors import SamplerError
from voxloom.geometry import Index3, Shape3
from voxloom.patches._centres import CentreTable, centre_table
from voxloom.patches._indexed_map import indexed_map
from voxloom.patches._mass import Weights
from voxloom.patches._padding import PaddingMode
from voxloom.patches._sampler import Draw, PatchSampler
from voxloom.patches._valid import index_ini_of
from voxloom.subjects import Image, Subject

if TYPE_CHECKING:
    import torch


@final
class WeightedSampler(PatchSampler):
    """Chooses the centre of a patch with a probability proportional to a map.

    The centre of a patch is its voxel ``patch_size // 2``. Only voxels count around which the
    whole patch lies inside the volume.

    Parameters
    ----------
    patch_size : int or (w, h, d)
        Size of the patches, in voxels.
    probability_map : str
        Name of the image that holds the weights: 0 or more, in any unit; with 0, 1 and 5 a
        voxel is never, once and five times as likely a centre. Several channels add up.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        What lies outside the volume where a patch is larger. None makes that an error.

    Raises
    ------
    EmptyProbabilityMapError
        A RuntimeError when called, if no voxel that can be a centre has weight.
    ProbabilityError
        A ValueError when called, if a weight is negative, NaN or infinite.
    UnknownImageError
        A KeyError when called, if there is no such image.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> weights = np.zeros((1, 8, 8, 8), dtype=np.float32)
    >>> weights[0, 4, 3, 2] = 1
    >>> subject = Subject(weights=Image(tensor=weights, type="sampling_map"))
    >>> next(WeightedSampler(3, "weights")(subject))["index_ini"].tolist()
    [3, 2, 1]
    """

    def __init__(
        self,
        patch_size: int | tuple[int, int, int],
        probability_map: str,
        padding_mode: PaddingMode | None = None,
    ) -> None:
        super().__init__(patch_size, padding_mode)
        if not isinstance(probability_map, str):
            raise SamplerError(
                "probability_map is the name of an image of the subject, e.g. 'weights'; "
                f"got {probability_map!r}"
            )
        self._probability_map = probability_map

    @property
    def probability_map(self) -> str:
        """Name of the image that holds the weights."""
        return self._probability_map

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        """Return the first voxel of one patch. `prepare` is faster for many."""
        return self.prepare(subject)(rng)

    def prepare(self, subject: Subject) -> Draw:
        """Index the map and return what locates patches. See `PatchSampler.prepare`."""
        self.check(subject)
        what = f"image {self._probability_map!r}"
        weights = self._weights_of(subject)
        voxels, (index,) = indexed_map(self.get_probability_map_image(subject), [weights])
        table = centre_table(voxels, index, self._centres_in(subject))
        if table is None:
            raise self._nothing_to_draw(subject, what, near_border=index.total > 0)
        return partial(_draw_place, table, self.patch_size)

    def check(self, subject: Subject) -> None:
        """Raise as `PatchSampler.check` does, and if there is no such map."""
        super().check(subject)
        self.get_probability_map_image(subject)

    def get_probability_map_image(self, subject: Subject) -> Image:
        """Return the image that holds the weights.

        Raises
        ------
        UnknownImageError
            A KeyError that says which images there are.
        """
        return subject.get_image(self._probability_map)

    def get_probability_map(self, subject: Subject) -> torch.Tensor:
        """Return the weights, ``(1, W, H, D)``, as the map gives them.

        Raises
        ------
        ProbabilityError
            A ValueError, if one is negative or not a number.
        """
        import torch

        array = self.get_probability_map_image(subject).array
        self._weights_of(subject).check(array)
        wide = np.result_type(array, np.float32) if array.dtype.kind == "f" else None
        return torch.from_numpy(array.sum(axis=0, keepdims=True, dtype=wide))

    def _weights_of(self, subject: Subject) -> Weights:
        return Weights(f"image {self._probability_map!r} of {subject.describe()}")


def _draw_place(table: CentreTable, patch_size: Shape3, rng: np.random.Generator) -> Index3:
    return index_ini_of(table.draw(rng), patch_size)
