"""The sampling index of a map, kept beside its voxels: nothing is read to begin to sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from voxloom._errors import VolumeReadError
from voxloom.io import Array, CachedSource, PreparedSource, VolumeSource
from voxloom.patches._block_index import BLOCK, BlockIndex, index_masses, memory_order
from voxloom.patches._block_rows import BlockRows
from voxloom.patches._mass import ChannelVoxels, Foreground, LabelVoxels, Mass, Weights
from voxloom.subjects import LABEL, SAMPLING_MAP

_MOST_LABELS: Final = 256
_CLOSE: Final = 6
_WORD_BYTES: Final = 8
_EVERY_LABEL: Final = "all labels"
_PARTS: Final = ("values", "lengths", "firsts")
Counts = dict[str, int]


def save_index(path: Path | BinaryIO, array: Array, kind: str) -> Counts | None:
    """Write sums over blocks of a map for every mass that a sampler may ask for.

    Parameters
    ----------
    path : Path or binary file
        Where to; a path ends with ``.npz``.
    array : (C, W, H, D) array
        The map.
    kind : str
        ``'label'`` or ``'sampling_map'``; nothing is written for others.

    Returns
    -------
    dict or None
        How many voxels each mass counts, by its name; None where nothing was written.

    Raises
    ------
    ProbabilityError
        If a weight of a sampling map is negative, NaN or infinite.
    """
    masses = _masses(array, kind)
    if not masses:
        return None
    indices = [index for index in _index_all(array, masses) if _is_held(index)]
    stored: dict[str, npt.NDArray[Any]] = {}
    for index in indices:
        if isinstance(index.mass, Weights) and index.mass.scale != 1:
            continue
        name, rows = mass_name(index.mass), index.rows
        stored[f"{name} lengths"] = rows.lengths.astype(np.uint32)
        stored[f"{name} firsts"] = rows.firsts.astype(np.uint32)
        stored[f"{name} values"] = rows.values
    if any(isinstance(mass, LabelVoxels) for mass in masses):
        stored[f"{_EVERY_LABEL} values"] = np.zeros(0, np.uint16)
    np.savez(path, allow_pickle=False, **stored)
    return {mass_name(i.mass): int(i.total) for i in indices if not isinstance(i.mass, Weights)}


def load_index(source: VolumeSource, masses: Sequence[Mass]) -> list[BlockIndex] | None:
    """Return the index of each mass from beside the voxels, or None where one is not there.

    Examples
    --------
    >>> from voxloom.io import ArraySource
    >>> load_index(ArraySource(np.zeros((1, 8, 8, 8))), [Foreground()]) is None
    True
    """
    if not isinstance(source, PreparedSource | CachedSource):
        return None
    parts = [f"{mass_name(mass)} {part}" for mass in masses for part in _PARTS]
    stored = source.stored_arrays(*parts, f"{_EVERY_LABEL} values")
    indices = []
    for mass in masses:
        rows = _stored_rows(source, stored, mass)
        if rows is None:
            return None
        indices.append(BlockIndex(mass, rows))
    return indices


def mass_name(mass: Mass) -> str:
    """Return what a mass is called in a stored index.

    Examples
    --------
    >>> mass_name(LabelVoxels(3))
    'label 3'
    """
    if isinstance(mass, LabelVoxels):
        return f"label {mass.label}"
    if isinstance(mass, ChannelVoxels):
        return f"channel {mass.channel}"
    return "foreground" if isinstance(mass, Foreground) else "weights"


def _stored_rows(
    source: VolumeSource, stored: Mapping[str, npt.NDArray[Any]], mass: Mass
) -> BlockRows | None:
    w, h, d = (-(-n // BLOCK) for n in source.spatial_shape)
    name = mass_name(mass)
    values, lengths, firsts = (stored.get(f"{name} {part}") for part in _PARTS)
    if values is None:
        if f"{_EVERY_LABEL} values" not in stored or not isinstance(mass, LabelVoxels):
            return None
        # All labels of the map are stored: one that is not there has no voxel.
        return BlockRows.of(np.zeros((w, h, d), np.uint16))
    try:
        if lengths is None or firsts is None:
            raise ValueError(f"{name!r} is not there as a whole")
        return BlockRows.packed((w, h, d), lengths, firsts, values)
    except ValueError as error:
        raise VolumeReadError(
            f"{source.path}: its index is that of another volume, or of another version of "
            f"voxloom, {error}; prepare the data set again"
        ) from error


def _masses(array: Array, kind: str) -> list[Mass]:
    if kind == SAMPLING_MAP:
        return [Weights()]
    if kind != LABEL:
        return []
    if len(array) > 1:
        return [Foreground(), *(ChannelVoxels(n) for n in range(len(array)))]
    labels = _labels(array)
    return [Foreground(), *(LabelVoxels(n) for n in labels)]


def _index_all(array: Array, masses: Sequence[Mass]) -> list[BlockIndex]:
    """Index every mass; where all labels are counted, what follows from the others is not."""
    if not any(isinstance(mass, LabelVoxels) for mass in masses):
        return index_masses(array, masses)
    counted = [mass for mass in masses if isinstance(mass, LabelVoxels) and mass.label]
    sums = {index.mass: index.sums for index in index_masses(array, counted)}
    blocks = [-(-length // BLOCK) for length in array.shape[1:]]
    nothing = np.zeros(blocks, np.uint16)
    above = sum((sums[mass] for mass in counted if mass.label > 0), nothing)
    below = sum((sums[mass] for mass in counted if mass.label < 0), nothing)
    sums |= {Foreground(): above, LabelVoxels(0): _block_voxels(array.shape[1:]) - above - below}
    return [BlockIndex(mass, BlockRows.of(sums[mass])) for mass in masses]


def _is_held(index: BlockIndex) -> bool:
    """Tell whether a map has the label of an index; other masses are kept whatever they count."""
    return not isinstance(index.mass, LabelVoxels) or index.total > 0


def _block_voxels(lengths: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """Return how many voxels each block has: those at the end of an axis may be short."""
    w, h, d = (
        np.minimum(BLOCK, length - np.arange(0, length, BLOCK)).astype(np.uint16)
        for length in lengths
    )
    voxels: npt.NDArray[np.uint16] = w[:, None, None] * h[:, None] * d
    return voxels


def _labels(array: Array) -> list[int]:
    """Return the labels that a map may have, or none where they are too many or no integers.

    Where the least and the greatest are close, those between are counted whether they are there
    or not: to see which are costs more than to count one that is not.
    """
    if array.dtype.kind == "f" and not (array == np.rint(array)).all():
        return []
    if array.dtype.kind in "bui":
        least, greatest = int(array.min()), int(array.max())
        if greatest - least < _CLOSE:
            return list(range(least, greatest + 1))
    if array.dtype.itemsize <= 2 and array.dtype.kind in "bui":
        held = _small_labels(array)
    else:
        held = np.unique(array)
    return [int(n) for n in held] if len(held) <= _MOST_LABELS else []


def _small_labels(array: Array) -> npt.NDArray[Any]:
    """Return what an array of at most 16 bits holds, without sorting it."""
    unsigned = array.view(f"u{array.dtype.itemsize}")
    seen = np.zeros(2 ** (8 * array.dtype.itemsize), np.bool_)
    order = memory_order(array)
    for plane in unsigned[0].transpose(order):
        row = plane.reshape(-1)
        whole = len(row) * row.itemsize // _WORD_BYTES * _WORD_BYTES // row.itemsize
        words = row[:whole].view(np.uint64)
        # Neighbours are mostly alike: only where a word differs from the last is it looked at.
        seen[words[1:][words[1:] != words[:-1]].view(unsigned.dtype)] = True
        seen[words[:1].view(unsigned.dtype)] = True
        seen[row[whole:]] = True
    return np.flatnonzero(seen).astype(unsigned.dtype).view(array.dtype)
