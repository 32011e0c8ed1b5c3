"""The Python of the documentation runs, page by page, and prints what the page shows."""

import io
import logging
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
# Pages on moving from another library need that library, and have tests of their own.
ELSEWHERE = {"_build", "migration"}
PAGES = [
    page
    for page in sorted(DOCS.rglob("*.md"))
    if not ELSEWHERE & set(page.relative_to(DOCS).parts) and "```python" in page.read_text("utf-8")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(DOCS).as_posix())
def test_every_block_prints_what_is_shown_below_it(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == text.count("```python")
    monkeypatch.chdir(tmp_path)
    level = logging.getLogger("voxloom").level
    names = {"__name__": "docs_page"}
    module = type(sys)("docs_page")  # so that what a page defines can be pickled
    monkeypatch.setitem(sys.modules, "docs_page", module)
    module.__dict__.update(names)
    try:
        for code, shown in blocks:
            printed = io.StringIO()
            with redirect_stdout(printed):
                exec(compile(code, str(page), "exec"), module.__dict__)
            assert printed.getvalue() == shown
    finally:
        logging.getLogger("voxloom").setLevel(level)


def test_there_are_pages_to_run() -> None:
    assert {page.stem for page in PAGES} >= {"tutorial", "overview", "resume", "queue"}
