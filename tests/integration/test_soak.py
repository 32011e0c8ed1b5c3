"""A short run of the soak: workers are killed at random, and nobody can tell from the epochs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "soak.py"
SAID = re.compile(
    r"(?P<epochs>\d+) exact epochs, (?P<kills>\d+) workers killed; .* MiB "
    r"\((?P<growth>[-+][\d.]+)%\), with .* workers left: (?P<left>\d+); "
    r".* before and after: \[(?P<before>\d+, \d+), \d+\], \[(?P<after>\d+, \d+), \d+\]\n"
)


@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="memory as Linux tells it")
def test_random_kills_leave_epochs_exact_memory_flat_and_nothing_behind() -> None:
    """Others use /dev/shm meanwhile: what a queue has there is looked at after each fault."""
    command = [sys.executable, SCRIPT, "--minutes", "0.1", "--seconds-between-kills", "0.4"]
    ran = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100, check=False)
    said = SAID.fullmatch(ran.stdout)
    assert said is not None, ran.stdout + ran.stderr
    assert int(said["epochs"]) >= 2
    assert int(said["kills"]) >= 3
    assert float(said["growth"]) < 2
    assert int(said["left"]) == 0
    assert said["before"] == said["after"]
