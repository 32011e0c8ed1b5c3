"""A curve of training: one value a step, and its course."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from voxloom._errors import VoxloomError
from voxloom.view._figure import ACCENT, INK, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_curve(values: Sequence[float], name: str = "loss", *, window: int = 8) -> Figure:
    """Return a curve of one value a step: each as a dot, and the mean of the last few as a line.

    Parameters
    ----------
    values : sequence of float
        One a step.
    name : str
        What they are.
    window : int
        How many steps the mean goes back.

    Raises
    ------
    VoxloomError
        If there are no values.

    Examples
    --------
    >>> plot_curve([3.0, 2.0, 1.0]).axes[0].get_ylabel()
    'loss'
    """
    if not len(values):
        raise VoxloomError("a curve needs at least one value, got none")
    figure = new_figure(6.4, 3.6)
    axes = figure.subplots()
    steps = np.arange(1, len(values) + 1)
    axes.plot(steps, values, ".", color=ACCENT, alpha=0.4, markersize=6, label="each step")
    axes.plot(steps, running_mean(values, window), color=INK, label=f"mean of {window} steps")
    axes.set_xlabel("step")
    axes.set_ylabel(name)
    axes.set_ylim(bottom=min(0.0, float(np.min(values))))
    axes.legend(frameon=False)
    tidy(axes)
    return figure


def running_mean(values: Sequence[float], window: int) -> list[float]:
    """Return the mean of up to `window` values, each and those before it.

    Examples
    --------
    >>> running_mean([1.0, 3.0, 5.0], window=2)
    [1.0, 2.0, 4.0]
    """
    return [float(np.mean(values[max(0, n + 1 - window) : n + 1])) for n in range(len(values))]
