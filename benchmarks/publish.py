"""Measure what docs/benchmarks.md shows, store it here as JSON, and draw it; see README.md.

python benchmarks/publish.py               # measures, about twelve minutes, then draws
python benchmarks/publish.py --only-draw   # from what is stored
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure.machine import describe_machine
from measure.page import write_page
from measure.plots import draw_busy, draw_peers
from measure.table import median_of

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
DOCS = HERE.parent / "docs"
LOADERS = "voxloom", "voxloom-nothing-kept", "voxloom-cache", "torchio", "monai"


def main() -> None:
    asked = parse_arguments()
    if not asked.only_draw:
        machine = describe_machine()
        peers = measure("peers.py", "--sampling", "label", "--epochs", str(asked.epochs),
                        "--repeats", str(asked.repeats), "--loaders", *LOADERS)  # fmt: skip
        peers["runs"] = {name: median_of(runs) for name, runs in peers["runs"]["label"].items()}
        busy = measure("trainer_busy.py", "--skip-mixed", "--loaders", "voxloom", "torchio",
                       "--epochs", "6")  # fmt: skip
        store("peers", {"machine": machine, "repeats": asked.repeats, **peers})
        store("busy", {"machine": machine, **busy})
    peers, busy = load("peers"), load("busy")
    draw_peers(peers, DOCS / "images" / "benchmark-peers.svg")
    draw_busy(busy, DOCS / "images" / "benchmark-busy.svg")
    (DOCS / "benchmarks-measured.md").write_text(write_page(peers, busy), encoding="utf-8")


def measure(script: str, *arguments: str) -> dict[str, Any]:
    """Run a benchmark of this folder and return what it stored."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "figures.json")
        command = [sys.executable, str(HERE / script), *arguments, "--json", str(file)]
        subprocess.run(command, check=True)
        result: dict[str, Any] = json.loads(file.read_text())
    return result


def store(name: str, figures: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    rounded = json.loads(json.dumps(figures), parse_float=lambda text: float(f"{float(text):.4g}"))
    (RESULTS / f"{name}.json").write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


def load(name: str) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return figures


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2, help="of each loader beside its peers")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--only-draw", action="store_true", help="draw what is stored")
    return parser.parse_args()


if __name__ == "__main__":
    main()
