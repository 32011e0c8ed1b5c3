"""One picture of one plane: grey values, labels over them, and what lies where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxloom.io import Array
from voxloom.view._canonical import Canonical, Plane
from voxloom.view._figure import colour_of

_OPACITY = 0.4


def window_of(voxels: Array) -> tuple[float, float]:
    """Return the grey values that are shown black and white: outliers do not count.

    Examples
    --------
    >>> window_of(np.arange(1001))
    (5.0, 995.0)
    """
    step = max(1, voxels.size // 200_000)
    some = np.asarray(voxels.reshape(-1, order="A")[::step], dtype=np.float64)
    finite = some[np.isfinite(some)]
    low, high = np.percentile(finite, (0.5, 99.5)) if finite.size else (0.0, 1.0)
    return float(low), float(high) if high > low else float(low) + 1.0


def draw_plane(
    axes: Any,
    canonical: Canonical,
    voxels: Array,
    plane: Plane,
    index: int,
    window: Sequence[float],
) -> None:
    """Draw grey values ``(W, H, D)`` at a turned index, in mm, with letters at the edges."""
    axes.imshow(
        canonical.cut(voxels, plane, index),
        cmap="gray",
        vmin=window[0],
        vmax=window[1],
        origin="lower",
        extent=canonical.bounds_mm(plane),
        interpolation="nearest",
        aspect="equal",
    )
    axes.set_axis_off()


def draw_labels(
    axes: Any, canonical: Canonical, labels: Array, plane: Plane, index: int, *, solid: bool = False
) -> None:
    """Draw labels ``(W, H, D)`` in colour over grey values; 0 is left clear."""
    axes.imshow(
        paint(canonical.cut(labels, plane, index), 1.0 if solid else _OPACITY),
        origin="lower",
        extent=canonical.bounds_mm(plane),
        interpolation="nearest",
        aspect="equal",
    )


def draw_edges(axes: Any, plane: Plane, size: float = 9) -> None:
    """Write L, R, A, P, S, I where they lie."""
    left, right, bottom, top = plane.edges
    places = ((0.02, 0.5, left), (0.98, 0.5, right), (0.5, 0.02, bottom), (0.5, 0.98, top))
    for x, y, letter in places:
        axes.text(
            x,
            y,
            letter,
            transform=axes.transAxes,
            color="white",
            fontsize=size,
            fontweight="bold",
            ha={0.02: "left", 0.98: "right"}.get(x, "center"),
            va={0.02: "bottom", 0.98: "top"}.get(y, "center"),
        )


def paint(labels: Array, opacity: float) -> npt.NDArray[np.float32]:
    """Return labels as colours with opacity, ``(..., 4)``, 0 to 1; label 0 is clear.

    Examples
    --------
    >>> paint(np.array([[0, 1]]), 0.5)[0, :, 3].tolist()
    [0.0, 0.5]
    """
    painted = np.zeros((*labels.shape, 4), dtype=np.float32)
    for label in labels_in(labels):
        code = colour_of(label).removeprefix("#")
        rgb = [int(code[n : n + 2], 16) / 255 for n in (0, 2, 4)]
        painted[labels == label] = (*rgb, opacity)
    return painted


def labels_in(labels: Array, names: Mapping[int, str] | None = None) -> list[int]:
    """Return the labels above 0 that occur, in order, or those that have names.

    Examples
    --------
    >>> labels_in(np.array([0, 3, 1, 3])), labels_in(np.zeros(2), {2: "white matter"})
    ([1, 3], [2])
    """
    if names is not None:
        return sorted(label for label in names if label != 0)
    return [int(label) for label in np.unique(labels) if label > 0]


def as_labels(voxels: Array) -> Array:
    """Return a label map ``(C, W, H, D)`` as ``(W, H, D)``: several channels become 1, 2, 3.

    Where channels overlap, the last is shown.

    Examples
    --------
    >>> channels = np.array([1, 1, 0, 0, 1, 0]).reshape(2, 3, 1, 1)
    >>> as_labels(channels).ravel().tolist()
    [1, 2, 0]
    """
    if len(voxels) == 1:
        whole: Array = voxels[0]
        return whole
    shown = np.zeros(voxels.shape[1:], dtype=np.int32)
    for number, channel in enumerate(voxels, start=1):
        shown[channel != 0] = number
    return shown
