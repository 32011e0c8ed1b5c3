"""One defect: a rule, and the same small piece of work by a peer and by voxloom that shows it."""

from __future__ import annotations

import gc
import importlib
import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import torch

LONGEST = 90  # characters of what was seen, in a cell of the table


@dataclass(frozen=True, slots=True)
class Defect:
    """A rule that the peer broke when it was last looked at.

    ``work`` gets the library and returns what it saw; `holds` judges it, for both alike. Where
    the two libraries have other names for the same thing, ``ours`` is voxloom's work.
    """

    peer: str
    rule: str
    work: Callable[[Any], Any]
    holds: Callable[[Any], bool]
    show: Callable[[Any], str] = str
    ours: Callable[[Any], Any] | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What one library did."""

    holds: bool
    what: str
    seconds: float

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'FAILS'}: {self.what}"


def look(defect: Defect, name: str) -> Seen:
    """Let one library do the work; an exception that the work does not expect is a failure."""
    library = importlib.import_module(name)
    work = defect.ours if defect.ours and name == "voxloom" else defect.work
    gc.collect()  # loaders that an error still holds would complain in processes forked from here
    torch.manual_seed(0)  # so that a run can be repeated
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = work(library)
            holds, what = defect.holds(found), defect.show(found)
    except Exception as error:  # whatever a peer raises is what its user would see
        holds, what = False, say(error)
    return Seen(bool(holds), what[:LONGEST], time.perf_counter() - start)


def refusal_of(work: Callable[[], Any]) -> Exception | None:
    """Return what some work raises, or None: for rules that ask for an error."""
    try:
        work()
    except Exception as error:
        return error
    return None


def say(error: Exception | None) -> str:
    """Return an error in one line."""
    if error is None:
        return "accepted"
    lines = str(error).strip().splitlines() or ["(no message)"]
    return f"{type(error).__name__}: {lines[0]}"


def kind_of(error: Exception | None) -> str:
    """Return the class of an error."""
    return "accepted" if error is None else f"refused, {type(error).__name__}"


def format_rows(rows: Iterable[tuple[Defect, Seen, Seen]]) -> str:
    """Return the table in Markdown."""
    lines = ["| what should hold | voxloom | peer |", "|---|---|---|"]
    for defect, ours, theirs in rows:
        cells = (defect.rule, str(ours), f"{defect.peer} {version(defect.peer)} {theirs}")
        lines.append("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |")
    return "\n".join(lines)
