"""The code of the migration pages runs against the released libraries."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from voxloom.datasets import write_phantoms

PAGES = sorted((Path(__file__).parents[2] / "docs" / "migration").glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", count=3, shape=(40, 44, 36))
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks), encoding="utf-8")
    command = [sys.executable, str(script)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110)
    assert run.returncode == 0, run.stderr


def test_there_is_a_page_for_each_library() -> None:
    assert [page.stem for page in PAGES] == ["monai", "nnunet", "torchio"]
