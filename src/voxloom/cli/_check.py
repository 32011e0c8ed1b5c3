"""``voxloom check``: what is wrong with a data set, before a training finds out."""

from __future__ import annotations

from typing import Annotated

from voxloom.cli._main import ExitCode
from voxloom.cli._options import DataOptions, grouped
from voxloom.cli._sampling import parse_patch_size
from voxloom.cli._terminal import note, say, say_json
from voxloom.cli._typer import AsJson, Option, Source

EXAMPLES = """[bold]Examples:[/bold]

  voxloom check data/

  voxloom check --msd Task09_Spleen --patch-size 96 --count-labels

  voxloom check --glob 't1={subject}/t1.nii.gz' --glob 'seg={subject}/seg.nii.gz' --label seg
"""


@grouped
def check(
    source: Source = None,
    *,
    data: DataOptions,
    patch_size: Annotated[
        str | None,
        Option(metavar="N[,N,N]", help="Volumes that are smaller than such a patch are errors."),
    ] = None,
    count_labels: Annotated[
        bool,
        Option(
            "--count-labels",
            help="Decode label maps, count the voxels of each label, and compare them with those "
            "that dataset.json declares.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read all headers and say what would stop a training: exit code 1 if anything would.

    Of many findings of one kind five are shown; --json has all of them.
    """
    size = None if patch_size is None else parse_patch_size(patch_size)
    chosen = data.open(source)
    if not as_json:
        note(chosen.says)
    known = True if chosen.labels is None else chosen.labels
    report = chosen.dataset.check(labels=count_labels and known, patch_size=size)
    if as_json:
        say_json({"source": chosen.says, **report.as_dict()})
    else:
        say(report)
    return ExitCode.OK if report.ok else ExitCode.FOUND
