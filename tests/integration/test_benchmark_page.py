"""The figures in the documentation are those that are stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], dict[str, Any]]:
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    peers, busy = (
        json.loads((BENCHMARKS / "results" / f"{name}.json").read_text("utf-8"))
        for name in ("peers", "busy")
    )
    return peers, busy


def test_the_page_is_made_of_what_is_stored(stored: Any) -> None:
    from measure.page import write_page

    assert (ROOT / "docs" / "benchmarks-measured.md").read_text("utf-8") == write_page(*stored)


def test_every_loader_and_every_figure_is_drawn(stored: Any, tmp_path: Path) -> None:
    from measure.plots import NAMES, draw_busy, draw_peers

    peers, busy = stored
    draw_peers(peers, tmp_path / "peers.svg")
    draw_busy(busy, tmp_path / "busy.svg")
    drawn = (tmp_path / "peers.svg").read_text("utf-8")
    for name, run in peers["runs"].items():
        assert NAMES[name] in drawn
        assert f">{run['longest_wait_s']:.2f}<" in drawn
        assert f">{run['peak_mib']:.0f}<" in drawn
    drawn = (tmp_path / "busy.svg").read_text("utf-8")
    for run in busy["runs"]:
        assert NAMES[run["loader"]] in drawn
        assert f">{run['max_length']}<" in drawn
