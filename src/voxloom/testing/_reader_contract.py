"""What every reader of volumes keeps: run it on your own."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import numpy.typing as npt

from voxloom._errors import GeometryError
from voxloom.geometry import Box, Index3, Shape3, Space
from voxloom.io import VolumeSource


def check_reader(source: VolumeSource, *, boxes: int = 20, seed: int = 0) -> None:
    """Raise AssertionError unless `source` keeps the contract of `VolumeSource`.

    The header agrees with the voxels; a box holds what the same box of the whole volume
    holds; so does a map of it, where there is one; reading twice gives the same; a copy that
    went through pickle, as to a worker, reads the same; a box that overhangs is refused.

    Parameters
    ----------
    source : VolumeSource
        An opened volume of your reader, small enough to be read whole.
    boxes : int
        How many random boxes are read, besides the volume and its corner voxels.
    seed : int
        Seed of the boxes.

    Raises
    ------
    AssertionError
        If the contract is broken; the message says where.

    Examples
    --------
    >>> from voxloom.io import ArraySource
    >>> check_reader(ArraySource(np.arange(24).reshape(1, 2, 3, 4)))
    """
    whole = source.read()
    _check_header(source, whole)
    shape = source.spatial_shape
    for box in _boxes(shape, boxes, np.random.default_rng(seed)):
        _check_same(source.read(box), whole[(slice(None), *box.slices)], f"read({box})")
    _check_same(source.read(), whole, "reading again")
    if (view := source.mapped()) is not None:
        _check_same(view, whole, "mapped()")
    _check_pickle(source, whole)
    for box in _overhanging(shape):
        _check_refused(source, box)


def _check_header(source: VolumeSource, whole: npt.NDArray[Any]) -> None:
    _check(isinstance(source.space, Space), f"space is a Space, not {source.space!r}")
    _check(
        source.shape == whole.shape,
        f"shape says {source.shape}, read() gives {whole.shape}",
    )
    _check(
        source.shape[1:] == source.spatial_shape,
        f"shape says {source.shape}, space says {source.spatial_shape}",
    )
    _check(source.dtype.isnative, f"dtype {source.dtype!r} is not in native byte order")
    _check(isinstance(source.reads_regions, bool), "reads_regions is True or False")
    path = source.path
    _check(path is None or isinstance(path, str), f"path is a str or None, not {path!r}")
    _check_same(whole, whole.astype(source.dtype), "read()")


def _boxes(shape: Shape3, count: int, rng: np.random.Generator) -> list[Box]:
    w, h, d = shape
    boxes = [Box((0, 0, 0), shape), Box.at((0, 0, 0), (1, 1, 1))]
    boxes.append(Box.at((w - 1, h - 1, d - 1), (1, 1, 1)))
    for _ in range(count):
        first = [int(rng.integers(n)) for n in shape]
        i, j, k = (int(rng.integers(a, n)) + 1 for a, n in zip(first, shape, strict=True))
        boxes.append(Box((first[0], first[1], first[2]), (i, j, k)))
    return boxes


def _overhanging(shape: Shape3) -> list[Box]:
    boxes = []
    for axis in range(3):
        before: list[int] = [0, 0, 0]
        before[axis] = -1
        behind: list[int] = [0, 0, 0]
        behind[axis] = shape[axis]
        boxes += [Box.at(_index(before), (1, 1, 1)), Box.at(_index(behind), (1, 1, 1))]
    return boxes


def _index(values: list[int]) -> Index3:
    i, j, k = values
    return i, j, k


def _check_pickle(source: VolumeSource, whole: npt.NDArray[Any]) -> None:
    twin = pickle.loads(pickle.dumps(source))
    _check(
        (twin.shape, twin.dtype, twin.path) == (source.shape, source.dtype, source.path),
        f"a pickled copy says {twin.shape}, {twin.dtype}, {twin.path}",
    )
    _check(np.array_equal(twin.affine, source.affine), f"a pickled copy has affine\n{twin.affine}")
    _check_same(twin.read(), whole, "a pickled copy's read()")


def _check_refused(source: VolumeSource, box: Box) -> None:
    try:
        source.read(box)
    except GeometryError:
        return
    raise AssertionError(f"{_name(source)}: {box} overhangs and was read; call check_box first")


def _check_same(got: npt.NDArray[Any], expected: npt.NDArray[Any], what: str) -> None:
    _check(got.shape == expected.shape, f"{what} has shape {got.shape}, not {expected.shape}")
    _check(got.dtype == expected.dtype, f"{what} has type {got.dtype}, not {expected.dtype}")
    same = np.array_equal(got, expected, equal_nan=got.dtype.kind == "f")
    _check(same, f"{what} holds other voxels than the volume does there")


def _check(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"the contract of a reader is broken: {message}")


def _name(source: VolumeSource) -> str:
    return source.path or type(source).__name__
