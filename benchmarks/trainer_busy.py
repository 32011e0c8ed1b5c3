"""How busy a loader keeps its trainer, and how mixed its batches are; see README.md here."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from math import comb
from pathlib import Path
from typing import Any

from measure.loaders import BUILDERS
from measure.process import run_in_peace
from measure.trainer import STEPS
from measure.volumes import describe_volumes, make_volumes, save_manifest
from measure.workload import Workload

DEFAULT_DATA = Path(tempfile.gettempdir()) / "voxloom-benchmark-volumes"
# Small volumes that take long because their transform sleeps: only the queue is measured.
DELAYED_WORK = Workload(
    subjects=96, spatial_shape=(32, 32, 24), patch_size=16, sampling="uniform", delay_s=0.1
)
REAL_WORK = Workload(subjects=96, spatial_shape=(128, 128, 96), patch_size=48)
MIXED_WORK = Workload(
    subjects=300,
    spatial_shape=(32, 32, 24),
    patch_size=8,
    samples_per_volume=16,
    batch_size=8,
    max_length=256,
    epochs=1,
    sampling="uniform",
)


def main() -> None:
    arguments = parse_arguments()
    if arguments.max_length:
        runs = report_busy(arguments)
        if arguments.json:
            work = replace(REAL_WORK if arguments.real else DELAYED_WORK, epochs=arguments.epochs)
            arguments.json.write_text(
                json.dumps({"workload": asdict(work), "runs": runs}, indent=1)
            )
    if not arguments.skip_mixed:
        report_mixed(arguments)


def report_busy(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Print the share of time in the step, by loader and length of the queue, and return it."""
    runs = []
    asked = REAL_WORK if arguments.real else DELAYED_WORK
    with volumes_on_disk(arguments.data, asked) as manifest:
        print(
            "| loader | max_length | batch made in ms | step ms | busy | after the first batch "
            "| longest wait s |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- |")
        for length in arguments.max_length:
            work = replace(asked, max_length=length, epochs=arguments.epochs)
            for loader in arguments.loaders:
                facts = ask("busy", loader, manifest, work, arguments.step)
                if facts:
                    runs.append({"loader": loader, "max_length": length, **facts})
                    print(
                        f"| {loader} | {length} | {1e3 * facts['made_s']:.1f} "
                        f"| {1e3 * facts['step_s']:.1f} | {facts['busy']:.1%} "
                        f"| {facts['busy_after_first']:.1%} | {facts['longest_wait_s']:.2f} |",
                        flush=True,
                    )
    return runs


def report_mixed(arguments: argparse.Namespace) -> None:
    """Print how many subjects a batch mixes, beside what a full shuffle would."""
    work = MIXED_WORK
    with volumes_on_disk(arguments.data, work) as manifest:
        print(
            f"subjects in a batch of {work.batch_size} (queue {work.max_length}, "
            f"{work.samples_per_volume} patches a volume):\n"
            f"shuffle of the whole epoch, expected: {expected_distinct(work):.2f}"
        )
        for loader in arguments.loaders:
            facts = ask("mixed", loader, manifest, work, arguments.step)
            if facts:
                print(f"{loader}: {facts['mean']:.2f} on average, never under {facts['least']}")


def expected_distinct(work: Workload) -> float:
    """Mean number of subjects in a batch drawn without replacement from the whole epoch.

    A subject is missing when all of the batch comes from the others' patches.
    """
    others = work.patches - work.samples_per_volume
    missing = comb(others, work.batch_size) / comb(work.patches, work.batch_size)
    return work.subjects * (1 - missing)


def ask(
    question: str, loader: str, manifest: Path, work: Workload, step: str
) -> dict[str, Any] | None:
    """Return the figures of one loader, or say that it has none and go on to the next."""
    try:
        return run_in_peace(
            "measure.trainer", question, loader, str(manifest), work.to_json(), step
        )
    except subprocess.SubprocessError as error:
        print(f"{loader} gave no figures: {error}", file=sys.stderr, flush=True)
        return None


@contextmanager
def volumes_on_disk(folder: Path, work: Workload) -> Iterator[Path]:
    """Make the volumes, say what they are, and give the list of their paths."""
    pairs = make_volumes(folder, work)
    print(f"\n{describe_volumes(pairs, work)}\n", flush=True)
    manifest = save_manifest(folder, pairs)
    try:
        yield manifest
    finally:
        manifest.unlink()


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--loaders", nargs="+", choices=list(BUILDERS), default=["voxloom", "torchio"]
    )
    parser.add_argument(
        "--real", action="store_true", help="real decoding and sampling instead of a fixed delay"
    )
    parser.add_argument("--step", choices=list(STEPS), default="sleep")
    parser.add_argument("--epochs", type=int, default=2, help="the longer, the less a start counts")
    parser.add_argument("--max-length", type=int, nargs="*", default=[16, 64, 192, 384])
    parser.add_argument("--skip-mixed", action="store_true", help="leave out the mixing of batches")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the volumes")
    parser.add_argument("--json", type=Path, help="write how busy the trainer was to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
