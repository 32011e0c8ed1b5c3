"""How often centres fell in each place, beside how often they should."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import numpy.typing as npt

from voxloom.io import Array
from voxloom.view._canonical import Canonical, Plane

if TYPE_CHECKING:
    from voxloom.view._centres import Dots

_BLOCKS: Final = 16  # along the longest side, in mm: coarse enough for a few hundred centres
_TEST_BLOCKS: Final = 4
_LEAST_EXPECTED: Final = 5.0  # below it, the chi-square statistic says little (Cochran 1954)


@dataclass(frozen=True, slots=True, eq=False)
class Frequencies:
    """Counts of centres, and what the map expects of as many.

    Attributes
    ----------
    drawn : (W, H, D) array
        How many centres fell on each voxel, turned.
    expected : (W, H, D) array, optional
        How many should, turned; None where the sampler says nothing of it.
    """

    drawn: Array
    expected: Array | None

    @classmethod
    def of(
        cls, canonical: Canonical, locations: npt.NDArray[np.int64], chances: Array | None
    ) -> Self:
        """Count the centres of patches; `chances` ``(W, H, D)`` sum to 1."""
        sizes = locations[:, 3:] - locations[:, :3]
        turned = canonical.turn_points(locations[:, :3] + sizes // 2)
        inside = np.clip(turned, 0, np.array(canonical.spatial_shape) - 1)
        drawn = np.zeros(canonical.spatial_shape)
        np.add.at(drawn, tuple(inside.T), 1)
        expected = None if chances is None else canonical.turn(chances) * len(locations)
        return cls(drawn, expected)

    def draw(self, rows: Sequence[Sequence[Any]], canonical: Canonical) -> None:
        """Draw them seen through the volume, what is expected first, in one scale."""
        known = [self.drawn] if self.expected is None else [self.expected, self.drawn]
        names = ["Centres, by the map", "Centres that were drawn"][-len(known) :]
        for column, plane in enumerate(canonical):
            seen = [_project(counts, canonical, plane) for counts in known]
            top = max(float(counts.max()) for counts in seen) or 1.0
            for row, counts in zip(rows, seen, strict=True):
                _draw_counts(row[column], canonical, plane, counts, top)
        for row, name in zip(rows, names, strict=True):
            row[0].set_title(name, fontsize=10, loc="left")
        if (fit := self.fit()) is not None:
            said = f"chi-square / df: {fit:.2f} (by chance 1)"
            rows[-1][2].set_title(said, fontsize=9, loc="right")

    def fit(self) -> float | None:
        """Return chi-square per degree of freedom over blocks; None where too little is expected.

        About 1 if the centres follow the map. Blocks in which fewer than five are expected are
        taken together.
        """
        if self.expected is None:
            return None
        steps = [-(-length // _TEST_BLOCKS) for length in self.drawn.shape]
        expected, drawn = (_sum_blocks(c, steps).ravel() for c in (self.expected, self.drawn))
        enough = expected >= _LEAST_EXPECTED
        expected = np.append(expected[enough], expected[~enough].sum())
        drawn = np.append(drawn[enough], drawn[~enough].sum())
        filled = expected >= _LEAST_EXPECTED
        if np.count_nonzero(filled) < 2:
            return None
        off = (drawn[filled] - expected[filled]) ** 2 / expected[filled]
        return float(off.sum() / (np.count_nonzero(filled) - 1))

    def name_labels(
        self, dots: Dots, labels: Array, names: Mapping[int, str] | None
    ) -> dict[int, str]:
        """Return what each label is called in the legend, with its share; `labels` are turned."""
        total, found = self.drawn.sum(), {}
        for label in dots.labels:
            name = (names or {}).get(label, f"label {label}")
            found[label] = f"{name}: {dots.count(label) / total:.0%}"
            if self.expected is not None:
                found[label] += f" (expected {self.expected[labels == label].sum() / total:.0%})"
        return found


def _project(counts: Array, canonical: Canonical, plane: Plane) -> Array:
    """Return counts summed along the plane's normal, in square blocks: rows run up."""
    side = max(canonical.extent_mm) / _BLOCKS
    flat: Array = counts.sum(axis=plane.normal)  # axes are left in order: across, then up
    steps = [max(1, round(side / canonical.spacing[axis])) for axis in (plane.across, plane.up)]
    return _sum_blocks(flat, steps).T


def _sum_blocks(counts: Array, steps: Sequence[int]) -> Array:
    for axis, step in enumerate(steps):
        counts = np.add.reduceat(counts, np.arange(0, counts.shape[axis], step), axis=axis)
    return counts


def _draw_counts(axes: Any, canonical: Canonical, plane: Plane, counts: Array, top: float) -> None:
    left, right, bottom, high = canonical.bounds_mm(plane)
    side = max(canonical.extent_mm) / _BLOCKS
    x, y = canonical.spacing[plane.across], canonical.spacing[plane.up]
    wide, tall = max(1, round(side / x)) * x, max(1, round(side / y)) * y
    rows, columns = counts.shape
    axes.set_facecolor("black")
    axes.imshow(
        counts,
        cmap="magma",
        vmin=0,
        vmax=top,
        origin="lower",
        extent=(left, left + wide * columns, bottom, bottom + tall * rows),
        interpolation="nearest",
        aspect="equal",
    )
    axes.set_xlim(left, right)  # the last block may stick out
    axes.set_ylim(bottom, high)
    axes.set_xticks([])
    axes.set_yticks([])
