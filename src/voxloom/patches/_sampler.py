"""Samplers: what every one of them does, and the one method a new one needs."""

from __future__ import annotations

import inspect
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from voxloom._errors import EmptyProbabilityMapError, SamplerError
from voxloom._random import Stream
from voxloom._upstairs import show
from voxloom.geometry import Box, Index3, Shape3
from voxloom.patches._cut import cut
from voxloom.patches._padding import PaddingMode, parse_padding_mode
from voxloom.patches._size import check_patch_fits, is_whole, parse_patch_size
from voxloom.patches._valid import valid_centres
from voxloom.subjects import Subject, kind_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# What samplers elsewhere are changed by, and none here asks for.
_UNASKED = (
    "_generate_patches",
    "get_probability_map",
    "get_random_index_ini",
    "process_probability_map",
)

Draw = Callable[[np.random.Generator], Index3]
"""Gives the first voxel of one patch."""


class PatchSampler(ABC):
    """Chooses where patches lie.

    A sampler of your own implements `locate`; queues, checks, plots and the contract test
    `voxloom.testing.check_sampler` then work with it.

    Parameters
    ----------
    patch_size : int or (w, h, d)
        Size of the patches, in voxels.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        What lies outside the volume where a patch is larger. None makes that an error.

    Raises
    ------
    PatchSizeError
        A ValueError, unless `patch_size` is one or three positive integers.
    PaddingError
        A ValueError, if there is no such padding mode.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> class MiddleSampler(PatchSampler):
    ...     def locate(self, subject, rng):
    ...         w, h, d = self.patch_size
    ...         return 4 - w // 2, 4 - h // 2, 4 - d // 2
    >>> subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 8, 8, 8))))
    >>> next(MiddleSampler(4)(subject))["location"].tolist()
    [2, 2, 2, 6, 6, 6]
    """

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a change of a built-in sampler that would be without effect."""
        super().__init_subclass__(**options)
        unasked = [name for name in _UNASKED if name in vars(cls)]
        if unasked and any("__final__" in vars(base) for base in cls.__mro__[1:]):
            raise SamplerError(
                f"{cls.__name__} overrides {unasked[0]}, which would change nothing: write a "
                "PatchSampler with the method locate(self, subject, rng), or let a transform add "
                "a map to the subject and name it, WeightedSampler(patch_size, 'map')"
            )

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse a class that does not say where patches lie."""
        if inspect.isabstract(cls):
            raise SamplerError(
                f"{cls.__name__} is abstract: it does not say where patches lie; use a "
                "UniformSampler, a WeightedSampler or a LabelSampler, or write a class of your "
                "own with the method locate(self, subject, rng)"
            )
        return super().__new__(cls)

    def __init__(
        self, patch_size: int | tuple[int, int, int], padding_mode: PaddingMode | None = None
    ) -> None:
        self._patch_size = parse_patch_size(patch_size)
        self._padding_mode = parse_padding_mode(padding_mode)

    @property
    def patch_size(self) -> Shape3:
        """Size of the patches ``(w, h, d)``, in voxels."""
        return self._patch_size

    @property
    def padding_mode(self) -> PaddingMode | None:
        """What lies outside the volume where a patch is larger, or None."""
        return self._padding_mode

    @abstractmethod
    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        """Return the first voxel ``(i, j, k)`` of one patch.

        Parameters
        ----------
        subject : Subject
            Loaded and transformed. It must not be changed.
        rng : numpy.random.Generator
            The only randomness to use. It belongs to this one patch: its state says which
            one, whatever was drawn before.
        """

    def prepare(self, subject: Subject) -> Draw:
        """Check a subject, do what need be done once, and return what locates its patches.

        A queue calls this once a subject. Override it where `locate` would repeat work.

        Raises
        ------
        VoxloomError
            As `check` does, and if no patch can be drawn.
        """
        self.check(subject)
        return partial(self.locate, subject)

    def check(self, subject: Subject) -> None:
        """Raise unless patches can be cut out of a subject.

        Raises
        ------
        SpaceMismatchError
            If its images do not share a space.
        PatchTooLargeError
            A ValueError and RuntimeError, if a patch does not fit and is not padded.
        """
        if not isinstance(subject, Subject):
            raise SamplerError(
                f"{type(self).__name__} takes a voxloom.Subject, got {kind_of(subject)}"
            )
        subject.check_consistent_space()
        if self._padding_mode is None:
            check_patch_fits(self._patch_size, subject.spatial_shape, subject.describe())

    def __call__(
        self,
        subject: Subject,
        num_patches: int | None = None,
        *,
        rng: np.random.Generator | int | None = None,
    ) -> Generator[Subject]:
        """Return a generator of patches.

        All checks happen here, not at the first patch.

        Parameters
        ----------
        subject : Subject
            Where to cut.
        num_patches : int, optional
            How many; None never ends.
        rng : numpy.random.Generator or int, optional
            A generator to draw from, or a seed from which each patch gets its own. None takes
            a seed from torch's generator, once, so that `torch.manual_seed` is enough.

        Raises
        ------
        VoxloomError
            As `prepare` does, and for a number of patches or an rng that cannot be used.
        """
        if num_patches is not None and not (is_whole(num_patches) and num_patches >= 0):
            raise SamplerError(
                f"num_patches is 0 or more, or None for patches without end; got {num_patches!r}"
            )
        draw = self.prepare(subject)
        generators = itertools.islice(_generators(rng), num_patches)
        return (self.extract_patch(subject, draw(one)) for one in generators)

    def extract_patch(self, subject: Subject, index_ini: Index3) -> Subject:
        """Return the patch of a subject that begins at voxel `index_ini`.

        Raises
        ------
        SamplerError
            A ValueError and TypeError, as `box_at` does.
        """
        return cut(subject, self.box_at(subject.spatial_shape, index_ini), self._padding_mode)

    def box_at(self, spatial_shape: Shape3, index_ini: Any) -> Box:
        """Return the box of a patch that begins at `index_ini`, checked.

        Raises
        ------
        SamplerError
            A ValueError and TypeError, unless these are three integers and the box lies
            inside the volume or is padded.

        Examples
        --------
        >>> from voxloom.patches import UniformSampler
        >>> UniformSampler(4).box_at((8, 8, 8), (4, 0, 1)).index_fin
        (8, 4, 5)
        """
        box = Box.at(self._as_place(index_ini), self._patch_size)
        if self._padding_mode is None and not box.fits(spatial_shape):
            raise SamplerError(
                f"{type(self).__name__} places a patch from {box.index_ini} to {box.index_fin}, "
                f"which does not lie inside the volume of spatial shape {spatial_shape}; "
                "move it, or give a padding_mode"
            )
        return box

    def _as_place(self, index_ini: Any) -> Index3:
        if type(index_ini) is tuple and tuple(map(type, index_ini)) == (int, int, int):
            return index_ini  # as our own samplers give it
        place = tuple(index_ini) if hasattr(index_ini, "__iter__") else (index_ini,)
        place = tuple(n.item() if hasattr(n, "item") else n for n in place)
        if len(place) != 3 or not all(map(is_whole, place)):
            raise SamplerError(
                f"{type(self).__name__} places a patch at its first voxel, three integers "
                f"(i, j, k); got {index_ini!r}"
            )
        return place

    def __repr__(self) -> str:
        arguments = (f"{name.lstrip('_')}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({', '.join(arguments)})"

    def plot(self, subject: Subject, num_patches: int = 1000, **options: Any) -> Figure:
        """Return a picture of where patches fall: the map against what is drawn, in three planes.

        Options and errors are those of `voxloom.view.plot_sampler`.
        """
        figure: Figure = show("plot_sampler", self, subject, num_patches, **options)
        return figure

    def _centres_in(self, subject: Subject) -> Box:
        return valid_centres(subject.spatial_shape, self._patch_size)

    def _nothing_to_draw(
        self, subject: Subject, what: str, *, near_border: bool, weighs: str = "is above zero"
    ) -> EmptyProbabilityMapError:
        reason = "it is zero everywhere; check the map, or leave the subject out"
        if near_border:
            pads = "" if self._padding_mode is None else " even with the padding that it needs"
            remedy = ", or pad the volume" if self._padding_mode is None else ""
            reason = (
                f"all that {weighs} lies near the border, where a patch of size "
                f"{self._patch_size} would overhang{pads}; choose a smaller patch_size{remedy}"
            )
        return EmptyProbabilityMapError(
            f"no patch can be drawn from {what} of {subject.describe()}: {reason}"
        )


def _generators(rng: np.random.Generator | int | None) -> Iterator[np.random.Generator]:
    if isinstance(rng, np.random.Generator):
        if isinstance(rng.bit_generator, np.random.MT19937):
            raise SamplerError(
                "rng needs a bit generator of 64-bit words and MT19937 gives 32; "
                "use numpy.random.default_rng(seed)"
            )
        return itertools.repeat(rng)
    if rng is not None and not is_whole(rng):
        raise SamplerError(
            f"rng is a numpy.random.Generator, an integer seed, or None; got {rng!r}"
        )
    stream = Stream(_seed_from_torch() if rng is None else int(rng), "direct")
    return (stream.at(patch) for patch in itertools.count())


def _seed_from_torch() -> int:
    import torch

    return int(torch.randint(2**63 - 1, (1,)).item())
