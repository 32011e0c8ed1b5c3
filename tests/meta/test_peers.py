"""Defects of other systems: each test that the page about them names is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOUND = re.findall(r"`(tests/\S+\.py)::(\w+)`", (ROOT / "docs/design/peers.md").read_text("utf-8"))


def test_the_page_names_tests() -> None:
    assert len(FOUND) > 30


@pytest.mark.parametrize(("file", "name"), sorted(set(FOUND)))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    assert f"\ndef {name}(" in (ROOT / file).read_text("utf-8")
