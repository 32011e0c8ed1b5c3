"""``voxloom check``: what is wrong with a data set, before a training finds out."""

from __future__ import annotations

from typing import Annotated

from voxloom.cli._main import ExitCode
from voxloom.cli._sampling import choose_patch_size
from voxloom.cli._sources import choose_dataset
from voxloom.cli._terminal import note, say, say_json, working
from voxloom.cli._typer import (
    AsJson,
    Csv,
    Glob,
    Images,
    Labels,
    Msd,
    Nnunet,
    Option,
    PatchSizeText,
    Source,
)
from voxloom.subjects import CheckReport

EXAMPLES = """[bold]Examples:[/bold]

  voxloom check data/

  voxloom check --msd Task09_Spleen --patch-size 96 --count-labels

  voxloom check --glob 't1={subject}/t1.nii.gz' --glob 'seg={subject}/seg.nii.gz' --label seg
"""


def check(
    source: Source = None,
    msd: Msd = None,
    nnunet: Nnunet = None,
    csv: Csv = None,
    glob: Glob = None,
    image: Images = None,
    label: Labels = None,
    patch_size: PatchSizeText = None,
    count_labels: Annotated[
        bool, Option("--count-labels", help="Decode label maps and count the voxels of each.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Read all headers and say what would stop a training: exit code 1 if anything would."""
    chosen = choose_dataset(source, msd, nnunet, csv, glob, image, label)
    if not as_json:
        note(chosen.says)
    size = None if patch_size is None else choose_patch_size(patch_size, CheckReport((), ()))
    with working("reading headers" if not count_labels else "reading headers and labels"):
        report = chosen.dataset.check(labels=count_labels, patch_size=size)
    if as_json:
        say_json({"source": chosen.says, **report.as_dict()})
    else:
        say(report)
    return ExitCode.OK if report.ok else ExitCode.FOUND
