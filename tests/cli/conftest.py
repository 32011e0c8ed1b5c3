"""Phantoms on disk, and a way to run the command in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from voxloom.cli import main
from voxloom.datasets import write_phantoms


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, 3, (32, 28, 24))
    return folder


@pytest.fixture
def voxloom(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Said]:
    """Return a function that runs the command in an empty folder."""
    pytest.importorskip("typer")
    pytest.importorskip("rich")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Said:
        code = main([str(one) for one in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
