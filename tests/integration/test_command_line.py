"""The command as the shell sees it: stopped in the middle, not read to the end, not allowed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voxloom.cli import ExitCode
from voxloom.datasets import write_phantoms

pytest.importorskip("typer")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals and users of Linux")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_phantoms(folder, 2, (32, 28, 24))
    return folder


def start(*arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "voxloom.cli", *map(str, arguments)]
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        **options,
    )


def members(session: int) -> Iterator[int]:
    """Yield the processes of a session that still run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                yield int(entry.name)


def wait_until(is_so: Callable[[], bool], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.02)


def assert_nobody_is_left(process: subprocess.Popen[str]) -> None:
    wait_until(lambda: not list(members(process.pid)), 10)  # multiprocessing's tracker is the last
    assert list(members(process.pid)) == []


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_changes_no_exit_code(data: Path, closed: str) -> None:
    line = f"exec {sys.executable} -m voxloom.cli check {data} {closed}"
    run = subprocess.run(["sh", "-c", line], capture_output=True, encoding="utf-8", timeout=60)
    assert run.returncode == ExitCode.OK
    assert "Traceback" not in run.stderr + run.stdout


@pytest.mark.parametrize("waits_for", ["nothing", "workers"])
def test_ctrl_c_is_one_word_and_leaves_no_process(
    data: Path, tmp_path: Path, waits_for: str
) -> None:
    process = start("bench", data, "--seconds", "60", "--workers", "2", cwd=tmp_path)
    if waits_for == "workers":
        wait_until(lambda: len(list(members(process.pid))) >= 3)
    else:
        time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    # -SIGINT: Python ends so where the signal came while a library was being imported.
    assert process.returncode in (ExitCode.INTERRUPTED, -signal.SIGINT), err
    assert out == ""
    assert "Traceback" not in err
    assert err == "" or err.endswith("voxloom: stopped\n")
    assert_nobody_is_left(process)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after_s", [0, 1.5])
def test_ctrl_c_while_a_store_is_prepared_is_one_word_too(
    data: Path, tmp_path: Path, after_s: float
) -> None:
    (tmp_path / "slow.py").write_text("import time\n\ndef wait(subject):\n    time.sleep(60)\n")
    arguments = ("--workers", "2", "--transform", "slow:wait")
    process = start("prepare", data, "store", *arguments, cwd=tmp_path)
    wait_until(lambda: len(list(members(process.pid))) >= 4)
    time.sleep(after_s)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, err
    assert out == ""
    assert "Traceback" not in err
    assert err.endswith("voxloom: stopped\n")
    assert_nobody_is_left(process)


@pytest.mark.parametrize("arguments", [["info", "--json"], ["--help"]])
def test_a_reader_that_goes_away_is_no_error_to_speak_of(arguments: list[str]) -> None:
    process = start(*arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == ExitCode.UNREAD
    process.stderr.close()


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_one_sentence(data: Path, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "voxloom.cli", "check", str(data)]
        run = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            check=False,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert run.returncode == ExitCode.FAILED
    assert run.stderr.splitlines()[-1] == "voxloom: No space left on device"


@pytest.mark.parametrize("command", ["view", "queue-page"])
def test_a_port_in_use_is_named(data: Path, command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        arguments = [data] if command == "view" else []
        process = start(command, *arguments, "--port", port)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (ExitCode.FAILED, "")
    assert err.splitlines()[-1] == (
        f"voxloom: 127.0.0.1:{port}: Address already in use; "
        "give another port, or 0 for any that is free"
    )


@pytest.mark.parametrize("hindrance", ["permission", "folder"])
def test_a_file_that_cannot_be_opened_is_an_error_of_the_data(
    tmp_path: Path, hindrance: str
) -> None:
    if hindrance == "permission" and os.getuid() == 0:
        pytest.skip("root may read every file")
    write_phantoms(tmp_path, 1, (8, 8, 8))
    file = tmp_path / "phantom_000_t1.nii.gz"
    if hindrance == "permission":
        file.chmod(0)
        reason = "Permission denied"
    else:
        file.unlink()
        file.mkdir()
        reason = "phantom_000_t1.nii.gz"
    process = start("check", tmp_path)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == ExitCode.FOUND
    assert reason in out
    process = start("preview", tmp_path, "--output", tmp_path / "preview.html")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (ExitCode.FAILED, "")
    last = err.splitlines()[-1]
    assert last.startswith("voxloom: ")
    assert reason in last
    assert "Traceback" not in err
    assert not (tmp_path / "preview.html").exists()
