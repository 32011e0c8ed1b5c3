"""A short run of the campaign that damages real files of every format."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "fuzz_readers.py"


def test_damaged_files_are_read_or_refused_by_name() -> None:
    command = [sys.executable, str(SCRIPT), "--count", "520", "--seed", "1"]
    settings = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=110, env=settings)
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert "520 inputs, 0 faults" in run.stdout
