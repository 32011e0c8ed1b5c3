"""Where the centres of patches fell, over the anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from voxloom._errors import SubjectError
from voxloom.geometry import Index3, Shape3
from voxloom.io import Array
from voxloom.subjects import Subject
from voxloom.view._canonical import Canonical, Plane, place_cut
from voxloom.view._figure import add_label_legend, colour_of
from voxloom.view._panel import as_labels, draw_edges, draw_plane, window_of
from voxloom.view._subject import find_grey, find_labels, new_planes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_centres(
    subject: Subject,
    locations: npt.ArrayLike,
    image: str | None = None,
    labels: str | None = None,
    *,
    at: Index3 | None = None,
    slab_mm: float = 5.0,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return a picture of where the centres of patches fell: three planes, all patches.

    Centres within `slab_mm` of the plane that is shown are full dots; all others are faint, where
    they would be seen through the body. Their colour is the label of the voxel they fell on. The
    dashed frame holds all voxels that can be a centre. The patient's left is on the left.

    Parameters
    ----------
    subject : Subject
        What the patches were cut from.
    locations : (N, 6) int
        First voxel and the voxel after the last, as ``batch['location']`` gives them.
    image, labels : str, optional
        What is shown in grey, and whose labels colour the dots; by default the first image of
        intensities and the first label map.
    at : (3,) int, optional
        Voxel in which the planes meet; the middle of the labels if None.
    slab_mm : float
        How far from a plane a centre counts as in it.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    SubjectError
        A ValueError, if locations are not ``(N, 6)`` or of different sizes.
    UnknownImageError
        A KeyError that names the images there are.

    Examples
    --------
    >>> from voxloom import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 9, 7))))
    >>> figure = plot_centres(subject, [[0, 0, 0, 4, 4, 4], [2, 3, 1, 6, 7, 5]])
    >>> figure.get_suptitle().splitlines()[0]
    'Centres of 2 patches of 4 x 4 x 4 voxels'
    """
    places, size = _parse_locations(locations)
    grey = find_grey(subject, image).read()[0]
    marked = find_labels(subject, labels)
    colour = None if marked is None else as_labels(marked.read())
    canonical = Canonical.of(subject.space)
    middle = place_cut(canonical, at, colour)
    dots = Dots(canonical, places, colour, subject.spatial_shape)
    figure, panels = new_planes(canonical, extra_height=0.5)
    for axes, plane in zip(panels, canonical, strict=True):
        draw_plane(axes, canonical, grey, plane, middle[plane.normal], window_of(grey))
        dots.draw(axes, plane, middle, slab_mm)
        draw_edges(axes, plane)
    shown = "{} x {} x {}".format(*size)
    figure.suptitle(
        f"Centres of {len(places)} patches of {shown} voxels\n"
        f"full dots: within {slab_mm:g} mm of the plane; faint: elsewhere; "
        "dashed: where a centre can be",
        fontsize=11,
    )
    if colour is not None:
        add_label_legend(figure, dots.labels, label_names, round_marks=True)
    return figure


class Dots:
    """Centres as dots, coloured by the label they fell on.

    Parameters
    ----------
    canonical : Canonical
        How the volume is turned.
    locations : (N, 6) int64
        Places of patches of one size.
    labels : (W, H, D) array, optional
        The labels that the colours stand for.
    spatial_shape : (W, H, D)
        Of the volume, before it is turned.
    """

    def __init__(
        self,
        canonical: Canonical,
        locations: npt.NDArray[np.int64],
        labels: Array | None,
        spatial_shape: Shape3,
    ) -> None:
        size = locations[0, 3:] - locations[0, :3]
        centres = locations[:, :3] + size // 2
        inside = np.clip(centres, 0, np.array(spatial_shape) - 1)
        kinds = None if labels is None else labels[tuple(inside.T)]
        self._canonical = canonical
        self._points = canonical.to_mm(canonical.turn_points(centres))
        self._kinds = np.ones(len(centres), dtype=int) if kinds is None else kinds.astype(int)
        first = size // 2
        last = np.array(spatial_shape) - 1 - (size - 1) // 2
        ends = canonical.to_mm(canonical.turn_points(np.stack([first, last])))
        self._frame = np.sort(ends, axis=0)
        self.labels = [int(label) for label in np.unique(self._kinds)]

    def count(self, label: int) -> int:
        """Return how many centres fell on a label."""
        return int(np.count_nonzero(self._kinds == label))

    def draw(self, axes: Any, plane: Plane, middle: Index3, slab_mm: float) -> None:
        """Draw the dots, and the frame in which a centre can be."""
        across, up = self._points[:, plane.across], self._points[:, plane.up]
        level = middle[plane.normal] * self._canonical.spacing[plane.normal]
        is_near = np.abs(self._points[:, plane.normal] - level) <= slab_mm
        for label in self.labels:
            for near, size, opacity in ((False, 7, 0.4), (True, 22, 1.0)):
                chosen = (self._kinds == label) & (is_near == near)
                axes.scatter(
                    across[chosen],
                    up[chosen],
                    s=size,
                    color=colour_of(label),
                    alpha=opacity,
                    edgecolor="black" if near else "none",
                    linewidth=0.5,
                    zorder=3 if near else 2,
                )
        (left, bottom), (right, top) = self._frame[:, [plane.across, plane.up]]
        axes.plot(
            [left, right, right, left, left],
            [bottom, bottom, top, top, bottom],
            color="white",
            linestyle="--",
            linewidth=0.8,
            alpha=0.7,
        )


def _parse_locations(locations: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Shape3]:
    places = np.asarray(locations)
    if places.ndim != 2 or places.shape[1] != 6 or not len(places):
        raise SubjectError(
            f"locations are (N, 6), as batch['location'] gives them; got shape {places.shape}"
        )
    sizes = np.unique(places[:, 3:] - places[:, :3], axis=0)
    if len(sizes) > 1:
        raise SubjectError(
            f"patches of one picture have one size, got {sizes.tolist()}; draw one for each size"
        )
    w, h, d = (int(n) for n in sizes[0])
    return places.astype(np.int64), (w, h, d)
