"""Compare voxloom with its peers on the same work; see README.md beside this file."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure.floors import describe_floors, measure_floors
from measure.loaders import BUILDERS
from measure.process import run_in_peace, run_watched
from measure.process_tree import TreeWatcher
from measure.table import format_table, median_of
from measure.volumes import describe_volumes, make_volumes, save_manifest
from measure.workload import Workload

DEFAULT_DATA = Path(tempfile.gettempdir()) / "voxloom-benchmark-volumes"


def main() -> None:
    arguments = parse_arguments()
    work = Workload(
        subjects=arguments.subjects,
        patch_size=arguments.patch_size,
        num_workers=arguments.workers,
        batch_size=arguments.batch_size,
        max_length=arguments.max_length,
        epochs=arguments.epochs,
    )
    pairs = make_volumes(arguments.data, work)
    # Also reads the files once, so that every loader finds them in the page cache.
    floors = measure_floors(pairs, work)
    print(describe_volumes(pairs, work), describe_floors(floors), sep="\n", flush=True)
    manifest = save_manifest(arguments.data, pairs)
    report: dict[str, Any] = {"workload": asdict(work), "floors": asdict(floors), "runs": {}}
    try:
        for sampling in arguments.sampling:
            asked = Workload.from_json(json.dumps(asdict(work) | {"sampling": sampling}))
            runs = measure_all(arguments.loaders, manifest, asked, arguments.repeats)
            report["runs"][sampling] = runs
            medians = {name: median_of(kept) for name, kept in runs.items() if kept}
            print(f"\n{sampling} sampling, median of {arguments.repeats}:\n")
            print(format_table(medians), flush=True)
    finally:
        manifest.unlink()
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=1))


def measure_all(
    loaders: list[str], manifest: Path, work: Workload, repeats: int
) -> dict[str, list[dict[str, Any]]]:
    """Measure each loader ``repeats`` times, in turn, so that a slow minute hits them all.

    Whoever watches takes a fifth of a core, so memory and processor time are those of one run
    more, the last, whose speed does not count.
    """
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in loaders}
    for repeat in range(repeats + 1):
        for name in loaders:
            is_watched = repeat == repeats
            turn = "watched" if is_watched else f"{repeat + 1}/{repeats}"
            print(f"  {work.sampling} {name} {turn}", file=sys.stderr, flush=True)
            command = "measure.one_run", name, str(manifest), work.to_json()
            try:
                if is_watched:
                    seen = what_was_used(*run_watched(*command))
                    runs[name] = [run | seen for run in runs[name]]
                else:
                    runs[name].append(run_in_peace(*command))
            except subprocess.SubprocessError as error:
                print(f"  {name} gave no figures: {error}", file=sys.stderr, flush=True)
                runs[name] = [] if is_watched else runs[name]
    return runs


def what_was_used(facts: dict[str, Any], watcher: TreeWatcher) -> dict[str, Any]:
    """Return the memory and processor time of the processes of a run that was watched."""
    return {
        "peak_mib": watcher.peak_bytes() / 2**20,
        "cpu_s": watcher.cpu_between(facts["measured_from"], facts["measured_to"]),
        "processes": max(sample.processes for sample in watcher.samples),
    }


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Workload()
    parser.add_argument(
        "--loaders", nargs="+", choices=list(BUILDERS), default=["voxloom", "torchio", "monai"]
    )
    parser.add_argument(
        "--sampling", nargs="+", choices=["label", "uniform"], default=["label", "uniform"]
    )
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the volumes")
    parser.add_argument("--json", type=Path, help="write every run and the floors to this file")
    parser.add_argument("--subjects", type=int, default=default.subjects)
    parser.add_argument("--patch-size", type=int, default=default.patch_size)
    parser.add_argument("--workers", type=int, default=default.num_workers)
    parser.add_argument("--batch-size", type=int, default=default.batch_size)
    parser.add_argument("--max-length", type=int, default=default.max_length)
    parser.add_argument("--epochs", type=int, default=default.epochs)
    return parser.parse_args()


if __name__ == "__main__":
    main()
