"""Where a sampler puts patches, and where its map says that it should."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._errors import SamplerError
from voxloom._random import Stream
from voxloom.geometry import Index3
from voxloom.io import Array
from voxloom.patches import PatchSampler
from voxloom.patches._size import is_whole
from voxloom.patches._valid import valid_centres
from voxloom.subjects import Subject
from voxloom.view._canonical import Canonical, Plane, place_cut
from voxloom.view._centres import Dots
from voxloom.view._figure import WIDTH, add_label_legend, height_of, new_figure
from voxloom.view._frequencies import Frequencies
from voxloom.view._panel import as_labels, draw_edges, draw_plane, window_of
from voxloom.view._subject import find_grey, find_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Locations = npt.NDArray[np.int64]

_OUTLINES: Final = 4
_GAP: Final = 0.08


def plot_sampler(
    sampler: PatchSampler,
    subject: Subject,
    num_patches: int = 1000,
    image: str | None = None,
    labels: str | None = None,
    *,
    seed: int = 0,
    at: Index3 | None = None,
    slab_mm: float = 5.0,
    label_names: Mapping[int, str] | None = None,
) -> Figure:
    """Return a picture of where a sampler puts patches: the map against what was drawn.

    Above, three planes of the anatomy: dots are centres of patches, full where they lie within
    `slab_mm` of the plane, in the colour of the label on which they fell; frames in white are
    the outlines of a few patches that the plane cuts; the dashed frame holds all voxels that can
    be a centre. Below, seen through the whole volume: how often the map says that centres fall
    in each place, and how often they did. A sampler that has no method ``get_probability_map``
    has no such row.

    Parameters
    ----------
    sampler : PatchSampler
        Any, also one of your own.
    subject : Subject
        Where it cuts.
    num_patches : int
        How many places are drawn. No patch is cut.
    image, labels : str, optional
        What is shown in grey, and whose labels colour the dots; by default the first image of
        intensities, and the sampler's own label map or the first.
    seed : int
        The places are those of ``sampler(subject, num_patches, rng=seed)``.
    at : (3,) int, optional
        Voxel in which the planes meet; the middle of the labels if None.
    slab_mm : float
        How far from a plane a centre counts as in it.
    label_names : mapping of int to str, optional
        What labels are called in the legend.

    Raises
    ------
    SamplerError
        A ValueError, unless at least one patch is asked for.
    VoxloomError
        As the sampler does when it is called.
    MissingExtraError
        An ImportError, if matplotlib is not installed.

    Examples
    --------
    >>> from voxloom import ScalarImage, UniformSampler
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 9, 7))))
    >>> figure = plot_sampler(UniformSampler(4), subject, num_patches=20)
    >>> figure.get_suptitle().splitlines()[0]
    '20 patches of 4 x 4 x 4 voxels, by UniformSampler'
    """
    locations = draw_locations(sampler, subject, num_patches, seed)
    grey = find_grey(subject, image).read()[0]
    marked = find_labels(
        subject, getattr(sampler, "label_name", None) if labels is None else labels
    )
    colour = None if marked is None else as_labels(marked.read())
    canonical = Canonical.of(subject.space)
    frequencies = Frequencies.of(canonical, locations, expected_map(sampler, subject))
    figure, panels, small = _new_panels(canonical, 1 if frequencies.expected is None else 2)
    centre = place_cut(canonical, at, colour)
    dots = Dots(canonical, locations, colour, subject.spatial_shape)
    for axes, plane in zip(panels, canonical, strict=True):
        draw_plane(axes, canonical, grey, plane, centre[plane.normal], window_of(grey))
        dots.draw(axes, plane, centre, slab_mm)
        _draw_outlines(axes, canonical, plane, locations, centre[plane.normal])
        draw_edges(axes, plane)
    frequencies.draw(small, canonical)
    size = " x ".join(map(str, sampler.patch_size))
    figure.suptitle(
        f"{num_patches} patches of {size} voxels, by {type(sampler).__name__}\n"
        f"full dots: centres within {slab_mm:g} mm of the plane; white frames: patches; "
        "dashed: where a centre can be",
        fontsize=11,
    )
    if colour is not None:
        names = frequencies.name_labels(dots, canonical.turn(colour), label_names)
        add_label_legend(figure, dots.labels, names, round_marks=True, columns=3)
    return figure


def draw_locations(
    sampler: PatchSampler, subject: Subject, num_patches: int, seed: int
) -> Locations:
    """Return the places of ``sampler(subject, num_patches, rng=seed)``, ``(N, 6)``, uncut.

    Raises
    ------
    SamplerError
        A ValueError, unless at least one is asked for.
    """
    if not (is_whole(num_patches) and num_patches >= 1):
        raise SamplerError(f"a picture needs num_patches of at least 1, got {num_patches!r}")
    draw, stream = sampler.prepare(subject), Stream(seed, "direct")
    shape = subject.spatial_shape
    boxes = [sampler.box_at(shape, draw(stream.at(number))) for number in range(num_patches)]
    return np.array([(*box.index_ini, *box.index_fin) for box in boxes], dtype=np.int64)


def expected_map(sampler: PatchSampler, subject: Subject) -> Array | None:
    """Return how likely each voxel is a centre, ``(W, H, D)``, summing to 1; None if unknown."""
    of = getattr(sampler, "get_probability_map", None)
    if of is None:
        return None
    weights = np.asarray(of(subject))[0]
    inside = valid_centres(subject.spatial_shape, sampler.patch_size).slices
    chances = np.zeros(weights.shape, dtype=np.float64)
    chances[inside] = weights[inside]
    total = chances.sum()
    return chances / total if total > 0 else None


def _new_panels(canonical: Canonical, maps: int) -> tuple[Figure, list[Any], list[list[Any]]]:
    """Return a figure, three panels of one scale, and below them three small ones a map."""
    widths = [canonical.extent_mm[plane.across] for plane in canonical]
    tallest = max(canonical.extent_mm[plane.up] for plane in canonical)
    height = height_of(sum(widths), tallest)
    small = height / 2
    figure = new_figure(WIDTH, height + small + 1.9)
    halves = figure.add_gridspec(2, 1, height_ratios=(height, small + 0.2))
    row = halves[0].subgridspec(1, 3, width_ratios=widths)
    panels = [figure.add_subplot(row[column]) for column in range(3)]
    ratios = [*widths, *([_GAP * sum(widths), *widths] if maps > 1 else [sum(widths)])]
    grid = halves[1].subgridspec(1, len(ratios), width_ratios=ratios)
    small_panels = [
        [figure.add_subplot(grid[4 * number + column]) for column in range(3)]
        for number in range(maps)
    ]
    for axes, plane in zip(panels, canonical, strict=True):
        axes.set_title(plane.name, fontsize=11)
    for axes in (*panels, *(one for row in small_panels for one in row)):
        axes.set_anchor("N")
    return figure, panels, small_panels


def _draw_outlines(
    axes: Any, canonical: Canonical, plane: Plane, locations: Locations, index: int
) -> None:
    """Draw the frames of the first patches that the plane cuts."""
    corners = np.stack([locations[:, :3], locations[:, 3:] - 1])
    turned = np.stack([canonical.turn_points(points) for points in corners])
    low, high = turned.min(axis=0), turned.max(axis=0)
    is_cut = (low[:, plane.normal] <= index) & (index <= high[:, plane.normal])
    for first, last in zip(low[is_cut][:_OUTLINES], high[is_cut][:_OUTLINES], strict=True):
        left, bottom = (first - 0.5)[[plane.across, plane.up]]
        right, top = (last + 0.5)[[plane.across, plane.up]]
        x, y = canonical.spacing[plane.across], canonical.spacing[plane.up]
        axes.plot(
            np.array([left, right, right, left, left]) * x,
            np.array([bottom, bottom, top, top, bottom]) * y,
            color="white",
            linewidth=1.1,
        )
