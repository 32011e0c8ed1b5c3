"""The one place that meets rich: tables, and a sign of life where somebody watches."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

_UNBOUNDED: Final = 10_000


def say(text: object = "") -> None:
    """Print a result, which is what a pipe gets."""
    print(text)


def note(text: str) -> None:
    """Print what is good to know and not the result: it goes to standard error."""
    print(text, file=sys.stderr)


def say_json(values: Mapping[str, Any]) -> None:
    """Print values as JSON; numbers that JSON does not know are null."""
    print(json.dumps(_finite(values), indent=2, allow_nan=False))


def serve(server: Any, found: Mapping[str, Any], *, as_json: bool) -> None:
    """Say where a page is, at once even to a pipe, and wait for Ctrl-C."""
    if as_json:
        say_json({"address": server.address, **found})
    else:
        say(server.address)
        note("open it in a browser; Ctrl-C ends it")
    sys.stdout.flush()
    server.wait()


def say_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; columns whose cells are numbers stand to the right.

    Where it would not fit, words would be cut: each row is a paragraph there.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", title_style="bold")
    for column in range(len(columns)):
        numbers = bool(rows) and all(_is_number(row[column]) for row in rows)
        table.add_column(columns[column], justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*map(str, row))
    # A pipe must not cut what a terminal would show.
    is_wide = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(file=sys.stdout, width=120 if is_wide else None)
    needed = console.measure(table, options=console.options.update(width=_UNBOUNDED)).minimum
    if needed <= console.width:
        console.print(table, markup=False)
    else:
        say("\n".join([title, *(_paragraph(columns, row, console.width) for row in rows)]))


def working(what: str) -> AbstractContextManager[Any]:
    """Return a context that shows that something is going on, on a terminal."""
    if not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status(what)


def _paragraph(columns: Sequence[str], row: Sequence[object], width: int) -> str:
    facts = (f"{name} {cell}".strip() for name, cell in zip(columns, row, strict=True))
    text = ", ".join(filter(None, facts))
    return textwrap.fill(text, width, initial_indent="- ", subsequent_indent="  ")


def _is_number(cell: object) -> bool:
    return str(cell).strip("% ").replace(".", "", 1).replace("-", "", 1).isdigit() or cell == ""


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, float) and (value != value or abs(value) == float("inf")):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
