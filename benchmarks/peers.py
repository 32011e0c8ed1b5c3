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
from measure.process import run_watched
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
    """Measure each loader ``repeats`` times, in turn, so that a slow minute hits them all."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in loaders}
    for repeat in range(repeats):
        for name in loaders:
            print(f"  {work.sampling} {name} {repeat + 1}/{repeats}", file=sys.stderr, flush=True)
            try:
                runs[name].append(measure_one(name, manifest, work))
            except subprocess.SubprocessError as error:
                print(f"  {name} gave no figures: {error}", file=sys.stderr, flush=True)
    return runs


def measure_one(name: str, manifest: Path, work: Workload) -> dict[str, Any]:
    """Run one loader in a fresh process, and watch its tree from here."""
    facts, watcher = run_watched("measure.one_run", name, str(manifest), work.to_json())
    facts["peak_mib"] = watcher.peak_bytes() / 2**20
    facts["cpu_s"] = watcher.cpu_between(facts["measured_from"], facts["measured_to"])
    facts["processes"] = max(sample.processes for sample in watcher.samples)
    return facts


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
