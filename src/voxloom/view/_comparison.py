"""Label maps side by side: what was predicted, beside the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from voxloom.geometry import Index3
from voxloom.subjects import Subject
from voxloom.view._canonical import AXIAL, Canonical, Plane, place_cut
from voxloom.view._figure import add_label_legend, new_figure
from voxloom.view._panel import (
    as_labels,
    draw_edges,
    draw_labels,
    draw_plane,
    labels_in,
    window_of,
)
from voxloom.view._subject import find_grey

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PANEL = 3.4


def plot_comparison(
    subject: Subject,
    labels: Sequence[str],
    image: str | None = None,
    *,
    plane: Plane = AXIAL,
    at: Index3 | None = None,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return one slice of a subject, and beside it the same slice of several label maps.

    Parameters
    ----------
    subject : Subject
        Has the image and all label maps.
    labels : sequence of str
        Names of the label maps, e.g. ``['truth', 'prediction']``.
    image : str, optional
        What is shown in grey; the first image of intensities if None.
    plane : Plane
        `AXIAL`, `CORONAL` or `SAGITTAL`.
    at : (3,) int, optional
        Voxel through which the slice goes; the middle of the first label map if None.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    UnknownImageError
        A KeyError that names the images there are.

    Examples
    --------
    >>> from voxloom import LabelMap, ScalarImage
    >>> t1 = ScalarImage(tensor=np.ones((1, 8, 9, 7)))
    >>> truth = LabelMap(tensor=np.ones((1, 8, 9, 7), dtype=np.uint8))
    >>> figure = plot_comparison(Subject(t1=t1, truth=truth, guess=truth), ["truth", "guess"])
    >>> [axes.get_title() for axes in figure.axes]
    ['t1', 'truth', 'guess']
    """
    grey = find_grey(subject, image)
    maps = [as_labels(subject.get_image(name).read()) for name in labels]
    canonical = Canonical.of(subject.space)
    index = place_cut(canonical, at, maps[0] if maps else None)[plane.normal]
    width, height = canonical.extent_mm[plane.across], canonical.extent_mm[plane.up]
    figure = new_figure(_PANEL * (1 + len(maps)), _PANEL * height / width + 0.6)
    panels = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    voxels = grey.read()[0]
    names = {id(item): name for name, item in subject.items()}
    draw_plane(panels[0], canonical, voxels, plane, index, window_of(voxels))
    panels[0].set_title(names[id(grey)], fontsize=11)
    for axes, name, shown in zip(panels[1:], labels, maps, strict=True):
        draw_plane(axes, canonical, np.zeros_like(voxels), plane, index, (0.0, 1.0))
        draw_labels(axes, canonical, shown, plane, index, solid=True)
        axes.set_title(name, fontsize=11)
    for axes in panels:
        draw_edges(axes, plane)
    if maps:
        add_label_legend(figure, labels_in(np.stack(maps), label_names), label_names)
    return figure
