"""The page is one file that needs nothing else. What it does is tested in integration."""

import json
import re
from pathlib import Path

import pytest

from voxloom.view import write_queue_page
from voxloom.view._page import PageMode, render_page
from voxloom.view._settings import Settings

MODES: list[PageMode] = ["disk", "served", "live"]
SVG = "http://www.w3.org/2000/svg"


@pytest.mark.parametrize("mode", MODES)
def test_it_names_no_other_file_and_no_server(mode: PageMode) -> None:
    page = render_page(mode)
    assert not re.search(r"https?://", page.replace(SVG, ""))
    assert set(re.findall(r'(?:src|href)="([^"]*)"', page)) == {"data:,"}
    assert not re.search(r"@import|url\((?!#)", page)


@pytest.mark.parametrize("mode", MODES)
def test_every_part_is_filled_in_and_the_policy_allows_nothing_from_elsewhere(
    mode: PageMode,
) -> None:
    page = render_page(mode)
    assert "{{" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]


def test_it_starts_from_the_library_s_settings() -> None:
    found = re.search(
        r'<script type="application/json" id="config">(.*?)</script>', render_page("disk")
    )
    assert found is not None
    config = json.loads(found[1])
    assert Settings(**config["settings"]) == Settings()
    assert config["limits"]["max_length"] == [1, 200]


def test_writing_it_gives_the_file_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "queue.html"
    path.write_text("old")
    assert write_queue_page(str(path)) == path
    assert path.read_text(encoding="utf-8") == render_page("disk")
