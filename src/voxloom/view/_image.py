"""One image in three planes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from voxloom._errors import ImageError
from voxloom.geometry import Index3
from voxloom.subjects import LABEL, Image
from voxloom.view._canonical import Canonical, place_cut
from voxloom.view._figure import add_label_legend
from voxloom.view._panel import (
    as_labels,
    draw_edges,
    draw_labels,
    draw_plane,
    labels_in,
    window_of,
)
from voxloom.view._subject import new_planes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_image(
    image: Image,
    channel: int | None = None,
    *,
    at: Index3 | None = None,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return a picture of an image: three planes in world orientation, all of one scale in mm.

    A label map is shown in colours that all kinds of colour vision can tell apart, with a
    legend. The patient's left is on the left.

    Parameters
    ----------
    image : Image
        It is read, and kept loaded only if it was.
    channel : int, optional
        Which channel is shown: by default the first, and all of a label map, whose channels
        are shown as labels 1, 2, 3.
    at : (3,) int, optional
        Voxel in which the planes meet; the middle if None, and that of the labels in a label map.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    ImageError
        A ValueError, if there is no such channel.
    SubjectError
        A ValueError, if `at` lies outside.
    MissingExtraError
        An ImportError, if matplotlib is not installed.

    Examples
    --------
    >>> from voxloom import ScalarImage
    >>> figure = plot_image(ScalarImage(tensor=np.ones((1, 8, 9, 7))))
    >>> [axes.get_title() for axes in figure.axes]
    ['sagittal', 'coronal', 'axial']
    """
    voxels = image.read()
    if channel is not None:
        if not 0 <= channel < len(voxels):
            raise ImageError(
                f"the image has channels 0 to {len(voxels) - 1}, there is no channel {channel}"
            )
        voxels = voxels[channel : channel + 1]
    labels = as_labels(voxels) if image.type == LABEL else None
    canonical = Canonical.of(image.space)
    centre = place_cut(canonical, at, labels)
    grey = voxels[0] if labels is None else np.zeros_like(labels)  # labels stand on black
    window = window_of(grey)
    figure, panels = new_planes(canonical)
    for axes, plane in zip(panels, canonical, strict=True):
        index = centre[plane.normal]
        draw_plane(axes, canonical, grey, plane, index, window)
        if labels is not None:
            draw_labels(axes, canonical, labels, plane, index, solid=True)
        draw_edges(axes, plane)
    if labels is not None:
        add_label_legend(figure, labels_in(labels, label_names), label_names)
    return figure
