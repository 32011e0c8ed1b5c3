"""Run one measurement in a fresh process, watched from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure.process_tree import TreeWatcher

BENCHMARKS = Path(__file__).resolve().parents[1]
RUN_LIMIT_S = 900


def run_watched(
    module: str, *arguments: str, python: str = sys.executable
) -> tuple[dict[str, Any], TreeWatcher]:
    """Return the JSON object in the last line a module printed, and what its tree used.

    Raises
    ------
    subprocess.SubprocessError
        If the process fails, or runs longer than ``RUN_LIMIT_S`` seconds.
    """
    with (
        tempfile.TemporaryFile("w+") as output,
        subprocess.Popen(
            [python, "-W", "ignore", "-m", module, *arguments],
            stdout=output,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(_search_path())},
        ) as process,
    ):
        with TreeWatcher(process.pid) as watcher:
            try:
                code = process.wait(RUN_LIMIT_S)
            except BaseException:
                process.kill()
                raise
        if code:
            raise subprocess.CalledProcessError(code, f"{module} {arguments[0]}")
        output.seek(0)
        return json.loads(output.read().splitlines()[-1]), watcher


def _search_path() -> list[str]:
    """Keep what the caller looks in, so that two checkouts can be compared in one environment."""
    return [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
