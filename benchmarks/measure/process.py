"""Run one measurement in a fresh process, watched from outside or left in peace."""

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
            _command(module, arguments, python), stdout=output, env=_environment()
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
        return _last_line(output.read()), watcher


def run_in_peace(module: str, *arguments: str, python: str = sys.executable) -> dict[str, Any]:
    """Return the same object of a module that nobody watches: a watcher takes a fifth of a core.

    Raises
    ------
    subprocess.SubprocessError
        If the process fails, or runs longer than ``RUN_LIMIT_S`` seconds.
    """
    command = _command(module, arguments, python)
    done = subprocess.run(
        command, stdout=subprocess.PIPE, env=_environment(), timeout=RUN_LIMIT_S, check=True
    )
    return _last_line(done.stdout.decode())


def _command(module: str, arguments: tuple[str, ...], python: str) -> list[str]:
    return [python, "-W", "ignore", "-m", module, *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(_search_path())}


def _last_line(printed: str) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return facts


def _search_path() -> list[str]:
    """Keep what the caller looks in, so that two checkouts can be compared in one environment."""
    return [str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
