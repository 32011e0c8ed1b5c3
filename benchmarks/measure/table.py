"""Medians over repeats, and the table that is printed."""

from __future__ import annotations

import statistics
from typing import Any

Run = dict[str, Any]
REFERENCE = "voxloom"
COLUMNS = (
    "loader",
    "first batch s",
    "patches/s by epoch",
    "longest wait s",
    "subjects in a batch",
    "peak MiB",
    "CPU s",
    "import + build s",
    "dtypes",
)


def median_of(runs: list[Run]) -> Run:
    """Reduce the repeats of one loader: the median of each figure, by epoch for the rates."""
    merged: Run = {
        key: statistics.median(run[key] for run in runs)
        for key, value in runs[0].items()
        if isinstance(value, int | float)
    }
    rates = zip(*(run["patches_per_s"] for run in runs), strict=True)
    merged["patches_per_s"] = [statistics.median(epoch) for epoch in rates]
    merged["formats"] = runs[0]["formats"]
    merged["repeats"] = len(runs)
    return merged


def format_table(medians: dict[str, Run]) -> str:
    """Return the table in Markdown; in brackets, how much worse than voxloom, where voxloom ran.

    A bracket above 1 means slower, longer or larger than voxloom, in every column.
    """
    reference = medians.get(REFERENCE)
    rows = [COLUMNS, tuple("---" for _ in COLUMNS)]
    rows += [_row(name, run, reference) for name, run in medians.items()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _row(name: str, run: Run, reference: Run | None) -> tuple[str, ...]:
    other = None if run is reference else reference

    def cost(key: str, digits: int) -> str:
        ratio = f" ({_ratio(run[key], other[key])})" if other else ""
        return f"{run[key]:.{digits}f}{ratio}"

    rates = [
        f"{rate:.1f}" + (f" ({_ratio(other['patches_per_s'][epoch], rate)})" if other else "")
        for epoch, rate in enumerate(run["patches_per_s"])
    ]
    return (
        name,
        cost("first_batch_s", 2),
        ", ".join(rates),
        cost("longest_wait_s", 2),
        f"{run['subjects_per_batch']:.1f}",
        cost("peak_mib", 0),
        cost("cpu_s", 1),
        f"{run['import_s']:.1f} + {run['construct_s']:.2f}",
        ", ".join(run["formats"]),
    )


def _ratio(larger: float, smaller: float) -> str:
    return f"{larger / smaller:.2f}x" if smaller else "-"
