"""The one place that meets typer: the arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Argument = typer.Argument
Exit = typer.Exit
Option = typer.Option

_DATA = "Where the data are"
_PATCHES = "How patches are cut"


def new_app(help_text: str) -> typer.Typer:
    """Return an application without commands, with completion for shells."""
    return typer.Typer(
        help=help_text,
        rich_markup_mode="rich",
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


Source = Annotated[
    Path | None,
    Argument(
        metavar="[DATA]",
        help="A folder of volumes: its layout is found out, and said. Or a table (.csv, .tsv).",
        show_default=False,
    ),
]
Msd = Annotated[
    Path | None,
    Option(
        "--msd",
        help="Folder or dataset.json of the Medical Segmentation Decathlon.",
        rich_help_panel=_DATA,
    ),
]
Nnunet = Annotated[
    Path | None,
    Option("--nnunet", help="Folder in the raw layout of nnU-Net.", rich_help_panel=_DATA),
]
Csv = Annotated[
    Path | None,
    Option("--csv", help="Table with a row for each subject.", rich_help_panel=_DATA),
]
Glob = Annotated[
    list[str] | None,
    Option(
        "--glob",
        metavar="NAME=PATTERN",
        help="Files of one image, as 't1=data/{subject}/t1.nii.gz'. Repeat for each image.",
        rich_help_panel=_DATA,
    ),
]
Images = Annotated[
    list[str] | None,
    Option("--image", metavar="NAME", help="Column of images in the table.", rich_help_panel=_DATA),
]
Labels = Annotated[
    list[str] | None,
    Option(
        "--label",
        metavar="NAME",
        help="This image is a label map. Repeat for more.",
        rich_help_panel=_DATA,
    ),
]
PatchSizeText = Annotated[
    str | None,
    Option(
        "--patch-size",
        metavar="N[,N,N]",
        help="Voxels along each axis; by default up to 96, and two thirds of the smallest.",
        rich_help_panel=_PATCHES,
        show_default=False,
    ),
]
SamplerName = Annotated[
    str,
    Option(
        "--sampler",
        metavar="auto|uniform|label|weighted",
        help="auto: by label where there is a label map, else uniform.",
        rich_help_panel=_PATCHES,
    ),
]
MapName = Annotated[
    str | None,
    Option(
        "--map",
        metavar="NAME",
        help="Label map or sampling map of the sampler; by default the first.",
        rich_help_panel=_PATCHES,
    ),
]
Shares = Annotated[
    str | None,
    Option(
        "--shares",
        metavar="LABEL=SHARE,...",
        help="How often each label is the centre, as '0=1,1=2'.",
        rich_help_panel=_PATCHES,
    ),
]
Transform = Annotated[
    str | None,
    Option(
        metavar="MODULE:NAME",
        help="Function applied to each loaded subject, found from the current folder.",
    ),
]
Seed = Annotated[int, Option(help="The same seed draws the same patches.")]
AsJson = Annotated[bool, Option("--json", help="Print JSON for machines, and nothing else.")]
