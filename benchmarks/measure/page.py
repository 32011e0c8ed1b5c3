"""The part of docs/benchmarks.md that is made of stored figures."""

from __future__ import annotations

import statistics
from typing import Any

from measure.plots import NAMES


def write_page(peers: dict[str, Any], busy: dict[str, Any]) -> str:
    """Return Markdown: the pictures, their figures as tables, and what they were measured on."""
    parts = [
        "<!-- Made by benchmarks/publish.py from benchmarks/results: change those. -->",
        "## Beside the peers",
        _work(peers["workload"], peers["repeats"]),
        "![Patches a second in each epoch, the longest wait for a batch, and the peak "
        "memory, for each loader; the table below has the figures.]"
        "(images/benchmark-peers.svg)",
        _peers_table(peers["runs"]),
        _floors(peers["floors"]),
        _machine(peers["machine"]),
        "## Is the trainer busy?",
        _busy_work(busy["workload"]),
        "![Share of the time in which the trainer was busy, by the length of the queue; the table "
        "below has the figures.](images/benchmark-busy.svg)",
        _busy_table(busy["runs"]),
        _machine(busy["machine"]),
    ]
    return "\n\n".join(parts) + "\n"


def _work(work: dict[str, Any], repeats: int) -> str:
    size = " x ".join(map(str, work["spatial_shape"]))
    return (
        f"The same work for each: {work['subjects']} subjects of {size} voxels as .nii.gz, patches "
        f"of {work['patch_size']} voxels a side, {work['samples_per_volume']} a subject and epoch, "
        f"centres balanced over four labels, {work['num_workers']} workers, batches of "
        f"{work['batch_size']}; medians of {repeats} runs, the loaders in turn."
    )


def _busy_work(work: dict[str, Any]) -> str:
    return (
        f"{work['subjects']} subjects, each made in {work['delay_s']:g} s by sleeping, "
        f"{work['num_workers']} workers, and a trainer whose step takes 1.3 times what a batch "
        f"takes to make, for {work['epochs']} epochs: once the first batch is there it could be "
        "busy all the time, and what is missing are the queue's own stops."
    )


def _peers_table(runs: dict[str, Any]) -> str:
    """Rates of the first epoch, in which caches are filled, of the later ones, and of all."""
    epochs = len(next(iter(runs.values()))["patches_per_s"])
    rows = [
        f"| loader | first batch s | patches/s, epoch 1 | epochs 2 to {epochs}: median (range) "
        f"| over all {epochs} | longest wait s | peak MiB | CPU s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, run in runs.items():
        first, *later = run["patches_per_s"]
        rows.append(
            f"| {NAMES[name]} | {run['first_batch_s']:.2f} | {first:.0f} "
            f"| {statistics.median(later):.0f} ({min(later):.0f} to {max(later):.0f}) "
            f"| {statistics.harmonic_mean([first, *later]):.0f} "
            f"| {run['longest_wait_s']:.2f} | {run['peak_mib']:.0f} | {run['cpu_s']:.1f} |"
        )
    return "\n".join(rows)


def _busy_table(runs: list[dict[str, Any]]) -> str:
    lengths = sorted({run["max_length"] for run in runs})
    rows = [
        "| busy with `max_length` | " + " | ".join(map(str, lengths)) + " |",
        "|---" * (len(lengths) + 1) + "|",
    ]
    for name in dict.fromkeys(run["loader"] for run in runs):
        for share, what in (("busy", ""), ("busy_after_first", ", after its first batch")):
            shares = {run["max_length"]: run[share] for run in runs if run["loader"] == name}
            cells = (f"{shares[length]:.1%}" if length in shares else "" for length in lengths)
            rows.append(f"| {NAMES[name]}{what} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def _floors(floors: dict[str, Any]) -> str:
    return (
        f"Decoding and cropping alone would allow {floors['patches_per_s']:.0f} patches a second "
        "there, if every volume is decoded at each visit. By default 512 MiB of decoded volumes "
        "stay in memory, here all, and with `memory_cache=0` none. "
        "`cache=folder` keeps them in a folder, which its first epoch writes."
    )


def _machine(machine: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return (
        f"Measured on {machine['date']}: {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, {machine['system']}; {versions}."
    )
