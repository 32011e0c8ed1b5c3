"""A batch at a glance: the middle slice of each patch, with its labels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom._errors import UnknownImageError
from voxloom.geometry import Space
from voxloom.io import Array
from voxloom.subjects import AFFINE, DATA, INDEX_INI, INTENSITY, LABEL, TYPE
from voxloom.view._canonical import AXIAL, Canonical, Plane
from voxloom.view._figure import add_label_legend, new_figure
from voxloom.view._panel import (
    as_labels,
    draw_edges,
    draw_labels,
    draw_plane,
    labels_in,
    window_of,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TILE = 1.9


def plot_batch(
    batch: Mapping[str, Any],
    image: str | None = None,
    labels: str | None = None,
    *,
    plane: Plane = AXIAL,
    columns: int = 4,
    limit: int = 16,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return a mosaic of a batch: the middle slice of each patch, its labels in colour.

    All tiles share one grey scale. Above each is the patch's first voxel; the patient's left is
    on the left.

    Parameters
    ----------
    batch : mapping
        As a DataLoader over a `Queue` gives it: images are mappings with ``'data'``
        ``(B, C, w, h, d)`` and ``'affine'`` ``(B, 4, 4)``.
    image, labels : str, optional
        What is shown in grey and in colour; by default the first image of intensities and the
        first label map. ``labels=""`` shows none.
    plane : Plane
        `AXIAL`, `CORONAL` or `SAGITTAL`.
    columns, limit : int
        Tiles in a row, and at most.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    UnknownImageError
        A KeyError that names the images there are.

    Examples
    --------
    >>> import torch
    >>> t1 = {"data": torch.rand(3, 1, 8, 8, 8), "affine": torch.eye(4).expand(3, 4, 4)}
    >>> figure = plot_batch({"t1": {**t1, "type": ["intensity"] * 3}})
    >>> sum(bool(axes.images) for axes in figure.axes)
    3
    """
    grey = batch[_find(batch, image, INTENSITY) or _first(batch)]
    marked = _find(batch, labels, LABEL)
    voxels = np.asarray(grey[DATA])[:limit, 0]
    colour = None if marked is None else [as_labels(one) for one in np.asarray(batch[marked][DATA])]
    figure, tiles = _new_tiles(len(voxels), columns)
    for number, (axes, patch) in enumerate(zip(tiles, voxels, strict=False)):
        canonical = Canonical.of(Space(patch.shape, np.asarray(grey[AFFINE][number])))
        index = canonical.spatial_shape[plane.normal] // 2
        draw_plane(axes, canonical, patch, plane, index, window_of(voxels))
        if colour is not None:
            draw_labels(axes, canonical, colour[number], plane, index)
        axes.set_title(_title(batch, number), fontsize=8, pad=3)
    draw_edges(tiles[0], plane, size=7)
    if INDEX_INI in batch:
        figure.suptitle(f"middle {plane.name} slices, and each patch's index_ini", fontsize=10)
    if colour is not None:
        add_label_legend(figure, labels_in(np.stack(colour[:limit]), label_names), label_names)
    return figure


def _new_tiles(count: int, columns: int) -> tuple[Figure, list[Any]]:
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    figure = new_figure(_TILE * columns, (_TILE + 0.15) * rows + 0.7)
    tiles = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axes in tiles[count:]:
        axes.set_axis_off()
    return figure, tiles


def _title(batch: Mapping[str, Any], number: int) -> str:
    if INDEX_INI not in batch:
        return ""
    first: Array = np.asarray(batch[INDEX_INI][number])
    return "{}, {}, {}".format(*first.tolist())


def _images(batch: Mapping[str, Any]) -> list[str]:
    return [name for name, item in batch.items() if isinstance(item, Mapping) and DATA in item]


def _first(batch: Mapping[str, Any]) -> str:
    names = _images(batch)
    if not names:
        raise UnknownImageError(f"the batch has no image; it has {list(batch)}")
    return names[0]


def _find(batch: Mapping[str, Any], name: str | None, kind: str) -> str | None:
    names = _images(batch)
    if name is None:
        return next((one for one in names if kind in batch[one].get(TYPE, ())), None)
    if name and name not in names:
        raise UnknownImageError(f"the batch has no image {name!r}; it has {names}")
    return name or None
