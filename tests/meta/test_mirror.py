"""Tests sit where the code sits: src/voxloom/io/_nifti.py is tested by tests/io/test_nifti.py."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"meta", "integration", "contracts", "golden"}
TESTS = [p for p in sorted((ROOT / "tests").rglob("test_*.py")) if p.parent.name not in ELSEWHERE]


@pytest.mark.parametrize("test", TESTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_file_mirrors_a_module(test: Path) -> None:
    folder = ROOT / "src" / "voxloom" / test.parent.relative_to(ROOT / "tests")
    name = test.name.removeprefix("test_")
    assert (folder / name).exists() or (folder / f"_{name}").exists()
