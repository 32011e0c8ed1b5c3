"""A subject in three planes, with its labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from voxloom.geometry import Index3
from voxloom.subjects import LABEL, Image, Subject
from voxloom.view._canonical import Canonical, place_cut
from voxloom.view._figure import WIDTH, add_label_legend, height_of, new_figure
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

_ROOM = 0.55  # inches, for titles and legend


def plot_subject(
    subject: Subject,
    image: str | None = None,
    labels: str | None = None,
    *,
    at: Index3 | None = None,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return a picture of a subject: three planes in world orientation, labels over them.

    The patient's left is on the left. All planes have one scale, in mm.

    Parameters
    ----------
    subject : Subject
        Its images are read, and kept loaded where they are in memory already.
    image : str, optional
        What is shown in grey; the first image of intensities if None.
    labels : str, optional
        What is shown in colour; the first label map if None. ``""`` shows none.
    at : (3,) int, optional
        Voxel in which the planes meet; the middle of the labels if None.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    UnknownImageError
        A KeyError that names the images there are.
    SubjectError
        A ValueError, if `at` lies outside.
    MissingExtraError
        An ImportError, if matplotlib is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom import ScalarImage
    >>> figure = plot_subject(Subject(t1=ScalarImage(tensor=np.ones((1, 8, 9, 7)))))
    >>> [axes.get_title() for axes in figure.axes]
    ['sagittal', 'coronal', 'axial']
    """
    grey = find_grey(subject, image).read()[0]
    marked = find_labels(subject, labels)
    colour = None if marked is None else as_labels(marked.read())
    canonical = Canonical.of(subject.space)
    centre = place_cut(canonical, at, colour)
    figure, panels = new_planes(canonical)
    for axes, plane in zip(panels, canonical, strict=True):
        index = centre[plane.normal]
        draw_plane(axes, canonical, grey, plane, index, window_of(grey))
        if colour is not None:
            draw_labels(axes, canonical, colour, plane, index)
        draw_edges(axes, plane)
    if colour is not None:
        add_label_legend(figure, labels_in(colour, label_names), label_names)
    return figure


def new_planes(canonical: Canonical, extra_height: float = 0.0) -> tuple[Figure, list[Any]]:
    """Return a figure with three panels of one scale, titled by their planes."""
    widths = [canonical.extent_mm[plane.across] for plane in canonical]
    heights = [canonical.extent_mm[plane.up] for plane in canonical]
    height = height_of(sum(widths), max(heights))
    figure = new_figure(WIDTH, height + _ROOM + extra_height)
    panels = figure.subplots(1, 3, width_ratios=widths)
    for axes, plane in zip(panels, canonical, strict=True):
        axes.set_title(plane.name, fontsize=11)
        axes.set_anchor("N")  # so that titles are level where heights differ
    return figure, list(panels)


def find_grey(subject: Subject, name: str | None) -> Image:
    """Return the image of that name, or the first of intensities, or the first of any kind."""
    if name is not None:
        return subject.get_image(name)
    intensities = subject.get_images()
    return intensities[0] if intensities else subject.get_first_image()


def find_labels(subject: Subject, name: str | None) -> Image | None:
    """Return the image of that name, or the first label map; None for ``""`` or where none is."""
    if name is not None:
        return subject.get_image(name) if name else None
    images = subject.get_images(intensity_only=False)
    return next((one for one in images if one.type == LABEL), None)
