"""The pictures of docs/benchmarks.md. They are narrow, so that a phone shows them readable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

NAMES = {
    "voxloom": "voxloom",
    "voxloom-nothing-kept": "voxloom, none kept",
    "voxloom-cache": "voxloom, folder",
    "torchio": "TorchIO",
    "monai": "MONAI",
}
# Okabe and Ito: told apart by all kinds of colour vision; marks and names tell them apart, too.
COLOURS = {
    "voxloom": "#0072B2",
    "voxloom-nothing-kept": "#999999",
    "voxloom-cache": "#56B4E9",
    "torchio": "#D55E00",
    "monai": "#E69F00",
}
MARKS = {
    "voxloom": "o",
    "voxloom-nothing-kept": "x",
    "voxloom-cache": "s",
    "torchio": "^",
    "monai": "D",
}
STYLE = {
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "voxloom",  # the same figures give the same file
    "font.family": "sans-serif",
}


def draw_peers(peers: dict[str, Any], path: Path) -> None:
    """Draw patches a second by epoch, the longest wait and the peak memory of each loader."""
    runs = peers["runs"]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 8.2), layout="constrained")
        rates, waits, memory = figure.subplots(3, 1, height_ratios=(2.2, 1, 1))
        _draw_rates(rates, runs)
        _draw_bars(waits, runs, "longest_wait_s", "longest wait for a batch (s)", "{:.2f}")
        _draw_bars(memory, runs, "peak_mib", "peak memory, all processes (MiB)", "{:.0f}")
        _save(figure, path)


def draw_busy(busy: dict[str, Any], path: Path) -> None:
    """Draw the share of time in which the trainer was busy, by the length of the queue."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.8), layout="constrained")
        axes = figure.subplots()
        lengths = sorted({run["max_length"] for run in busy["runs"]})
        for name in dict.fromkeys(run["loader"] for run in busy["runs"]):
            points = sorted(
                (lengths.index(run["max_length"]), 100 * run["busy"])
                for run in busy["runs"]
                if run["loader"] == name
            )
            axes.plot(*zip(*points, strict=True), color=COLOURS[name], marker=MARKS[name])
            _name(axes, name, points[-1], below=points[-1][1] > 90)
        axes.set_xticks(range(len(lengths)), [str(length) for length in lengths])
        axes.set(xlabel="max_length", ylabel="trainer busy (% of the time)", ylim=(0, 103))
        axes.grid(axis="y", alpha=0.3)
        _save(figure, path)


def _draw_rates(axes: Any, runs: dict[str, Any]) -> None:
    for name, run in runs.items():
        epochs = range(1, len(run["patches_per_s"]) + 1)
        axes.plot(epochs, run["patches_per_s"], color=COLOURS[name], marker=MARKS[name],
                  label=NAMES[name])  # fmt: skip
    axes.set_yscale("log")
    axes.set_yticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1000"])
    axes.minorticks_off()
    axes.set_xticks(epochs, [str(epoch) for epoch in epochs])
    axes.set(xlabel="epoch", ylabel="patches a second")
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)


def _draw_bars(axes: Any, runs: dict[str, Any], key: str, label: str, form: str) -> None:
    names = list(runs)[::-1]
    values = [runs[name][key] for name in names]
    bars = axes.barh([NAMES[name] for name in names], values,
                     color=[COLOURS[name] for name in names])  # fmt: skip
    axes.bar_label(bars, [form.format(value) for value in values], padding=4)
    axes.set(xlabel=label, xlim=(0, 1.15 * max(values)))


def _name(axes: Any, name: str, place: tuple[float, float], *, below: bool) -> None:
    axes.annotate(
        NAMES[name], place, (0, -8 if below else 8), textcoords="offset points",
        ha="right", va="top" if below else "bottom", color=COLOURS[name],
    )  # fmt: skip


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
