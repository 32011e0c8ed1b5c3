"""The README's code runs and prints what the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
BREAK = "-- end of a block --"


def test_every_block_of_code_prints_what_is_shown_below_it(tmp_path: Path) -> None:
    pytest.importorskip("nilearn")
    pytest.importorskip("matplotlib")
    blocks = BLOCK.findall(README)
    assert len(blocks) == README.count("```python") > 0
    script = tmp_path / "readme.py"
    script.write_text(f"\nprint({BREAK!r})\n".join(code for code, _ in blocks), encoding="utf-8")
    command = [sys.executable, str(script)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=110)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split(f"{BREAK}\n") == [shown for _, shown in blocks]


@pytest.mark.parametrize("target", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_inside_the_repository_leads_somewhere(target: str) -> None:
    assert (ROOT / target).exists()
