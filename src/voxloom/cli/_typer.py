"""The one place that meets typer: the application, and arguments that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Argument = typer.Argument
Exit = typer.Exit
Option = typer.Option


def new_app(help_text: str) -> typer.Typer:
    """Return an application without commands, with completion for shells."""
    return typer.Typer(
        help=help_text,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def unwrapped(text: str | None) -> str:
    r"""Return a docstring with one line for each paragraph: typer would keep the others.

    Examples
    --------
    >>> unwrapped("One\n    line.\n\n    Another.")
    'One line.\n\nAnother.'
    """
    paragraphs = (text or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


Source = Annotated[
    Path | None,
    Argument(
        metavar="[DATA]",
        help="A folder of volumes: its layout is found out, and said. Or a table (.csv, .tsv), "
        "or one volume.",
        show_default=False,
    ),
]
Transform = Annotated[
    str | None,
    Option(
        metavar="MODULE:NAME",
        help="Function applied to each loaded subject, found from the current folder.",
    ),
]
Seed = Annotated[int, Option(min=0, help="The same seed draws the same patches.")]
Port = Annotated[int, Option(min=0, max=65535, help="Where to listen; 0 takes any.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON for machines, and nothing else.")]
