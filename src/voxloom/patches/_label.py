"""Centres by label: so often on each, and uniformly over its voxels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
import numpy.typing as npt

from voxloom._errors import (
    EmptyProbabilityMapError,
    NoLabelMapError,
    ProbabilityError,
    SamplerError,
)
from voxloom._random import draw_word
from voxloom.geometry import Index3, Shape3
from voxloom.patches._block_index import index_masses, pick
from voxloom.patches._centres import CentreTable, centre_table
from voxloom.patches._indexed_map import indexed_map
from voxloom.patches._mass import ChannelVoxels, Foreground, LabelVoxels, Mass
from voxloom.patches._padding import PaddingMode
from voxloom.patches._sampler import Draw, PatchSampler
from voxloom.patches._size import is_whole
from voxloom.patches._valid import index_ini_of
from voxloom.patches._voxels import Voxels, held_labels
from voxloom.subjects import LABEL, Image, Subject

if TYPE_CHECKING:
    import torch

_SHOWN = 20


@final
class LabelSampler(PatchSampler):
    """Chooses the label of the centre first, then one of the voxels that have it.

    Only voxels count around which the whole patch lies inside the volume. The share of a
    label that has none goes to the others, in proportion.

    Parameters
    ----------
    patch_size : int or (w, h, d)
        Size of the patches, in voxels.
    label_name : str, optional
        Name of the label map; the first image of type LABEL if None.
    label_probabilities : mapping of int to float, optional
        How often each label is the centre, in any unit: ``{0: 0, 1: 2, 2: 1, 3: 1}`` gives
        label 1 half of the patches. Where the label map has several channels, the keys are
        channels, and a voxel belongs to those in which it is not zero. If None, all voxels
        above zero in any channel are equally likely.
    padding_mode : 'constant', 'edge', 'reflect', number, optional
        What lies outside the volume where a patch is larger. None makes that an error.
    balance : {'subject', 'dataset'}
        Whether labels are chosen within each subject, or over a data set: in a `Queue`,
        ``'dataset'`` chooses a label first and then one of the subjects that have it, all
        equally likely, so that a rare label is found wherever it is. A subject may then come
        several times in an epoch, or not at all. Called with one subject, the two are the same.

    Raises
    ------
    ProbabilityError
        A ValueError, if probabilities are negative, not finite or all zero, or, when called,
        if a channel does not exist.
    EmptyProbabilityMapError
        A RuntimeError when called, if no voxel that can be a centre has any of the labels.
    UnknownImageError
        A KeyError when called, if there is no image of that name.
    NoLabelMapError
        A RuntimeError when called without a name, if there is no label map.

    Examples
    --------
    >>> from voxloom.subjects import LabelMap
    >>> labels = np.zeros((1, 8, 8, 8), dtype=np.int16)
    >>> labels[0, 4, 3, 2] = 7
    >>> subject = Subject(seg=LabelMap(tensor=labels))
    >>> sampler = LabelSampler(3, "seg", label_probabilities={7: 1})
    >>> next(sampler(subject))["index_ini"].tolist()
    [3, 2, 1]
    """

    def __init__(
        self,
        patch_size: int | tuple[int, int, int],
        label_name: str | None = None,
        label_probabilities: Mapping[int, float] | None = None,
        padding_mode: PaddingMode | None = None,
        *,
        balance: str = "subject",
    ) -> None:
        super().__init__(patch_size, padding_mode)
        if balance not in ("subject", "dataset"):
            raise SamplerError(f"balance is 'subject' or 'dataset', got {balance!r}")
        if balance == "dataset" and label_probabilities is None:
            raise ProbabilityError(
                "balance='dataset' chooses a label first, so it needs label_probabilities, "
                "e.g. {1: 1, 2: 1}"
            )
        self._balance = balance
        self._label_name = label_name
        self._label_probabilities = (
            None if label_probabilities is None else _parse_probabilities(label_probabilities)
        )

    @property
    def label_name(self) -> str | None:
        """Name of the label map, or None for the first."""
        return self._label_name

    @property
    def label_probabilities(self) -> dict[int, float] | None:
        """How often each label is the centre, as given; a copy."""
        return None if self._label_probabilities is None else dict(self._label_probabilities)

    @property
    def balance(self) -> str:
        """Whether labels are balanced within each ``'subject'`` or over a ``'dataset'``."""
        return self._balance

    def with_probabilities(self, label_probabilities: Mapping[int, float]) -> LabelSampler:
        """Return the same sampler with other label probabilities, used within each subject."""
        return LabelSampler(
            self.patch_size, self._label_name, label_probabilities, self.padding_mode
        )

    def labels_in(self, subject: Subject) -> frozenset[int]:
        """Return which keys of the label probabilities some voxel has that can be a centre."""
        image = self.get_probability_map_image(subject)
        shares = self._shares(image.shape[0], f"the label map of {subject.describe()}")
        voxels, indices = indexed_map(image, list(shares))
        centres = self._centres_in(subject)
        return frozenset(
            index.mass.label if isinstance(index.mass, LabelVoxels) else index.mass.channel
            for index in indices
            if isinstance(index.mass, LabelVoxels | ChannelVoxels)
            and centre_table(voxels, index, centres) is not None
        )

    def locate(self, subject: Subject, rng: np.random.Generator) -> Index3:
        """Return the first voxel of one patch. `prepare` is faster for many."""
        return self.prepare(subject)(rng)

    def prepare(self, subject: Subject) -> Draw:
        """Index the label map and return what locates patches. See `PatchSampler.prepare`."""
        return self._label_draw(subject).draw

    def check(self, subject: Subject) -> None:
        """Raise as `PatchSampler.check` does, and if there is no such label map."""
        super().check(subject)
        self.get_probability_map_image(subject)

    def get_probability_map_image(self, subject: Subject) -> Image:
        """Return the label map.

        Raises
        ------
        UnknownImageError
            A KeyError that says which images there are.
        NoLabelMapError
            A KeyError and RuntimeError, if no image is a label map and none was named.
        """
        return subject.get_image(self.find_label_name(subject))

    def get_probability_map(self, subject: Subject) -> torch.Tensor:
        """Return a map in proportion to which voxels are centres, float32 ``(1, W, H, D)``.

        A label's probability, of the sum of all given, is shared out among its voxels that can
        be centres; what labels without any would have is missing from the sum. Without label
        probabilities the map is one where the label map is above zero.
        """
        import torch

        array = self.get_probability_map_image(subject).array
        if self._label_probabilities is None:
            return torch.from_numpy(Foreground().of(array)[None].astype(np.float32))
        draw = self._label_draw(subject)
        given = self._shares(len(array), f"the label map of {subject.describe()}")
        shares = _in_one_unit(given.values())
        share_of = dict(zip(given, shares / shares.sum(), strict=True))
        inside = self._centres_in(subject).slices
        chances = np.zeros(array.shape[1:], dtype=np.float32)
        for table in draw.tables:
            voxels = table.mass.of(array[(slice(None), *inside)])
            chances[inside] += voxels * (share_of[table.mass] / np.count_nonzero(voxels))
        return torch.from_numpy(chances[None])

    def find_label_name(self, subject: Subject) -> str:
        """Return the name of the label map. The errors are those of `get_probability_map_image`."""
        if self._label_name is not None:
            return self._label_name
        images = subject.get_images_dict(intensity_only=False)
        for name, image in images.items():
            if image.type == LABEL:
                return name
        raise NoLabelMapError(
            f"{subject.describe()} has no label map, only {list(images)}; add a LabelMap, or say "
            "which image to use with label_name="
        )

    def _label_draw(self, subject: Subject) -> _LabelDraw:
        self.check(subject)
        name = self.find_label_name(subject)
        image = subject.get_image(name)
        shares = self._shares(image.shape[0], f"image {name!r} of {subject.describe()}")
        centres = self._centres_in(subject)
        voxels, indices = indexed_map(image, list(shares), centres)
        tables = [centre_table(voxels, index, centres) for index in indices]
        drawn = [
            (share, table)
            for share, table in zip(shares.values(), tables, strict=True)
            if table is not None
        ]
        if not drawn:
            raise self._no_label(subject, name, voxels, list(shares))
        cumulative = np.cumsum(_in_one_unit(share for share, _ in drawn))
        return _LabelDraw(self.patch_size, cumulative, tuple(table for _, table in drawn))

    def _shares(self, channels: int, where: str) -> dict[Mass, float]:
        if self._label_probabilities is None:
            return {Foreground(): 1.0}
        wanted = {key: share for key, share in self._label_probabilities.items() if share > 0}
        if channels == 1:
            return {LabelVoxels(key): share for key, share in wanted.items()}
        missing = [key for key in self._label_probabilities if not 0 <= key < channels]
        if missing:
            raise ProbabilityError(
                f"the keys of label_probabilities are channels where a label map has several; "
                f"{where} has channels 0 to {channels - 1}, there is no {missing}"
            )
        return {ChannelVoxels(key): share for key, share in wanted.items()}

    def _no_label(
        self, subject: Subject, name: str, voxels: Voxels, masses: list[Mass]
    ) -> EmptyProbabilityMapError:
        what = f"image {name!r}"
        near_border = any(index.total > 0 for index in index_masses(voxels, masses))
        if near_border or self._label_probabilities is None:
            has = "is above zero" if self._label_probabilities is None else "has a label asked for"
            return self._nothing_to_draw(subject, what, near_border=near_border, weighs=has)
        held = held_labels(voxels)
        shown = ", ".join(f"{n:g}" for n in held[:_SHOWN])
        return EmptyProbabilityMapError(
            f"no patch can be drawn from {what} of {subject.describe()}: it has none of the labels "
            f"that label_probabilities={self._label_probabilities} ask for; it has {shown}"
            f"{', ...' if len(held) > _SHOWN else ''}"
        )


@final
@dataclass(frozen=True, slots=True, eq=False)
class _LabelDraw:
    patch_size: Shape3
    cumulative: npt.NDArray[np.float64]
    tables: tuple[CentreTable, ...]

    def draw(self, rng: np.random.Generator) -> Index3:
        label = pick(self.cumulative, draw_word(rng)) if len(self.tables) > 1 else 0
        return index_ini_of(self.tables[label].draw(rng), self.patch_size)


def _in_one_unit(shares: Iterable[float]) -> npt.NDArray[np.float64]:
    """Return shares in a power of two, so that their sum is neither infinite nor rounded."""
    values = np.array(list(shares), dtype=np.float64)
    _, unit = math.frexp(values.max())
    return np.ldexp(values, -unit)


def _parse_probabilities(given: Any) -> dict[int, float]:
    if not isinstance(given, Mapping):
        raise ProbabilityError(
            f"label_probabilities is a mapping of labels to numbers, e.g. {{1: 2, 2: 1}}; "
            f"got {given!r}"
        )
    shares: dict[int, float] = {}
    for label, written in given.items():
        share = _plain(written)
        if not _is_share(share):
            raise ProbabilityError(
                f"label_probabilities are 0 or more, and finite; label {label} has {share!r}"
            )
        shares[_whole_label(label, given)] = float(share)
    if not any(share > 0 for share in shares.values()):
        raise ProbabilityError(f"at least one of label_probabilities is above 0, got {dict(given)}")
    # Sorted, so that the order in which they are written does not change the patches.
    return dict(sorted(shares.items()))


def _whole_label(label: Any, given: Mapping[Any, Any]) -> int:
    """Return a label as an integer: np.unique of a map that was read as float gives 1.0."""
    value = _plain(label)
    if not is_whole(value) and not (isinstance(value, float) and value.is_integer()):
        raise ProbabilityError(
            f"the keys of label_probabilities are integers, got {label!r} in {dict(given)}"
        )
    return int(value)


def _plain(value: Any) -> Any:
    """Return Python's number for one of NumPy or torch."""
    return value.item() if hasattr(value, "item") and np.ndim(value) == 0 else value


def _is_share(value: Any) -> bool:
    if not isinstance(value, int | float | np.number) or isinstance(value, bool):
        return False
    return math.isfinite(value) and float(value) >= 0
