"""The one place that imports matplotlib: figures, and the colours of all plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from voxloom._extras import import_extra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe and Ito (2008), Color universal design: told apart by all kinds of colour vision. Black is
# left out, which is lost on dark images; grey stands for the background.
COLOURS: Final = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2")
BACKGROUND: Final = "#BBBBBB"
INK: Final = "#333333"
ACCENT: Final = "#0072B2"
ALARM: Final = "#D55E00"

WIDTH: Final = 10.0  # inches
_MOST_HEIGHT: Final = 15.0
_DOTS_PER_INCH = 150
_MOST_LABELS = 17  # with what says how many more, three rows


def height_of(width_mm: float, tallest_mm: float) -> float:
    """Return how many inches high a row of planes is that is `WIDTH` wide, on one page at most.

    Examples
    --------
    >>> height_of(200, 100), height_of(1, 1000)
    (5.0, 15.0)
    """
    return min(WIDTH * tallest_mm / width_mm, _MOST_HEIGHT)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure, `width` by `height` inches, that pyplot knows nothing of.

    Raises
    ------
    MissingExtraError
        An ImportError, if matplotlib is not installed.

    Examples
    --------
    >>> [float(n) for n in new_figure(4, 3).get_size_inches()]
    [4.0, 3.0]
    """
    figures = import_extra("matplotlib.figure", "plot")
    figure: Figure = figures.Figure(
        figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained", facecolor="white"
    )
    return figure


def colour_of(label: int) -> str:
    """Return the colour of a label: grey for the background, then one each, over and over.

    Examples
    --------
    >>> colour_of(0), colour_of(1), colour_of(8) == colour_of(1)
    ('#BBBBBB', '#E69F00', True)
    """
    return BACKGROUND if label == 0 else COLOURS[(label - 1) % len(COLOURS)]


def add_label_legend(
    figure: Figure,
    labels: Iterable[int],
    names: Mapping[int, str] | None = None,
    *,
    round_marks: bool = False,
    columns: int = 6,
) -> None:
    """Put a legend of labels below everything else. Nothing where there are no labels.

    Of many, the first are shown: the pictures need the room.
    """
    lines = import_extra("matplotlib.lines", "plot")
    labels = list(labels)
    marks = [
        lines.Line2D(
            [],
            [],
            linestyle="",
            marker="o" if round_marks else "s",
            markersize=7,
            color=colour_of(label),
            label=(names or {}).get(label, f"label {label}"),
        )
        for label in labels[:_MOST_LABELS]
    ]
    if len(labels) > _MOST_LABELS:
        more = f"and {len(labels) - _MOST_LABELS} more"
        marks.append(lines.Line2D([], [], linestyle="", label=more))
    if marks:
        figure.legend(
            handles=marks, loc="outside lower center", ncols=min(len(marks), columns), frameon=False
        )


def tidy(axes: Any) -> None:
    """Leave only the frame that carries numbers, and light lines to read them by."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
