"""What a reader of the source tree may rely on."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = (".ci", "benchmarks", "docs", "examples", "src", "tests")
WRITTEN = {".py", ".md", ".toml", ".txt", ".yml", ".yaml", ".cfg", ".css", ".html", ".js", ""}
NOT_OURS = {".git", "__pycache__", "_build", "vendor"}  # made, or as others published it
FORBIDDEN = {"utils", "util", "common", "helpers", "helper", "misc", "constants"}

UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X{3})\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|work|Users|mnt|scratch)/\w")


def written_files() -> list[Path]:
    inside = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    return sorted(
        path
        for path in (*inside, *ROOT.glob("*"))
        if path.is_file() and path.suffix in WRITTEN and not NOT_OURS & set(path.parts)
    )


PYTHON = [path for path in written_files() if path.suffix == ".py"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", PYTHON, ids=name)
def test_no_file_outgrows_its_reader(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 600


def test_files_are_named_for_what_they_hold() -> None:
    vague = [name(path) for path in PYTHON if path.stem.strip("_") in FORBIDDEN]
    assert vague == []


@pytest.mark.parametrize("pattern", [UNFINISHED, MACHINE_PATH], ids=["unfinished", "machine path"])
def test_no_file_holds_unfinished_notes_or_paths_of_one_machine(pattern: re.Pattern[str]) -> None:
    found = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in written_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line) or str(ROOT) in line
    ]
    assert found == []


def test_the_patterns_find_what_they_are_for() -> None:
    assert UNFINISHED.search("# TO" + "DO: later")
    assert MACHINE_PATH.search("see /ho" + "me/someone/data")
    assert not MACHINE_PATH.search("https://example.org/ho" + "me/page")


def test_the_changelog_has_a_place_for_what_comes_next() -> None:
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_pins_name_no_machine_and_no_local_build() -> None:
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in pins if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert lines == sorted(lines, key=str.lower)
