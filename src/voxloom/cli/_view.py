"""``voxloom view``: volumes in the browser, with sampled patches as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Annotated

from voxloom._errors import CommandError, VolumeReadError
from voxloom.cli._main import ExitCode
from voxloom.cli._options import DataOptions, PatchOptions, grouped
from voxloom.cli._sampling import describe_sampler
from voxloom.cli._sources import Chosen, subject_of_files
from voxloom.cli._terminal import note, serve
from voxloom.cli._typer import Argument, AsJson, Option, Port, Seed
from voxloom.patches import PatchSampler
from voxloom.subjects import SubjectsDataset
from voxloom.subjects._check_report import counted

EXAMPLES = """[bold]Examples:[/bold]

  voxloom view t1.nii.gz seg.nii.gz

  voxloom view data/ --patch-size 96 --shares 0=1,1=2

  voxloom view data/ --patches 0 --port 8000
"""


@grouped
def view(
    sources: Annotated[
        list[Path] | None,
        Argument(
            metavar="[SUBJECT]...",
            help="Volumes of one subject; or one folder of volumes, or table (.csv, .tsv).",
            show_default=False,
        ),
    ] = None,
    *,
    data: DataOptions,
    cutting: PatchOptions,
    patches: Annotated[
        int, Option(min=0, max=64, help="How many are shown as boxes in each subject.")
    ] = 8,
    seed: Seed = 0,
    port: Port = 0,
    as_json: AsJson = False,
) -> int:
    """Show volumes in the browser, with sampled patches as boxes, until Ctrl-C."""
    chosen = _choose(sources or [], data)
    cutter = _make_cutter(cutting, chosen.dataset) if patches else None
    if cutter is None:
        _check_any_opens(chosen.dataset)
    found = {
        "source": chosen.says,
        "subjects": len(chosen.dataset),
        "sampler": None if cutter is None else describe_sampler(cutter),
        "patches": patches,
    }
    if not as_json:
        note(chosen.says)
        if patches:
            note(f"boxes: {counted(patches, 'patch')} by {found['sampler']}, seed {seed}")
    from voxloom.view import serve_volumes

    with serve_volumes(chosen.dataset, cutter, patches or 1, seed=seed, port=port) as server:
        serve(server, found, as_json=as_json)
    return ExitCode.OK


def _make_cutter(cutting: PatchOptions, dataset: SubjectsDataset) -> PatchSampler:
    cutter = cutting.make_sampler(dataset, dataset.check())
    with suppress(VolumeReadError):  # the page says which files are damaged
        cutter.prepare(dataset.dry_iter()[0])
    return cutter


def _check_any_opens(dataset: SubjectsDataset) -> None:
    """Raise VolumeReadError if there is nothing to show; one header that opens is enough."""
    why = "there is none"
    for subject in dataset.dry_iter():
        for image in subject.get_images(intensity_only=False):
            try:
                _ = copy(image).space  # of a copy: the data set must not keep what is opened
            except VolumeReadError as error:
                why = str(error)
            else:
                return
    raise VolumeReadError(f"no volume could be read: {why}")


def _choose(given: Sequence[Path], data: DataOptions) -> Chosen:
    if _are_volumes(given):
        return subject_of_files(given, data.label or ())
    if len(given) > 1:
        raise CommandError("several arguments are volumes of one subject; give one folder alone")
    return data.open(given[0] if given else None)


def _are_volumes(sources: Sequence[Path]) -> bool:
    from voxloom.io import known_suffixes

    return bool(sources) and all(
        source.name.lower().endswith(tuple(known_suffixes()))
        and (source.is_file() or not source.exists() or len(sources) > 1)
        for source in sources
    )
