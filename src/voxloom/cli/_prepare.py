"""``voxloom prepare``: a data set stored for reads by region."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from voxloom._errors import CommandError
from voxloom.cli._main import ExitCode
from voxloom.cli._sampling import choose_patch_size
from voxloom.cli._sources import choose_dataset, load_callable
from voxloom.cli._terminal import note, say, say_json
from voxloom.cli._typer import (
    Argument,
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
    Transform,
)
from voxloom.subjects import CheckReport

EXAMPLES = """[bold]Examples:[/bold]

  voxloom prepare data/ prepared/

  voxloom prepare --msd Task09_Spleen prepared/ --layout zarr --patch-size 96 --workers 4

  voxloom prepare data/ prepared/ --transform training:to_one_millimetre
"""


def prepare(
    source: Source = None,
    output: Annotated[
        Path | None, Argument(metavar="OUTPUT", help="Folder to write; made if missing.")
    ] = None,
    msd: Msd = None,
    nnunet: Nnunet = None,
    csv: Csv = None,
    glob: Glob = None,
    image: Images = None,
    label: Labels = None,
    patch_size: PatchSizeText = None,
    layout: Annotated[
        str,
        Option(
            metavar="nifti|zarr",
            help="nifti: uncompressed, the fastest. zarr: about half the size.",
        ),
    ] = "nifti",
    workers: Annotated[int, Option(min=0, help="Processes; 0 does it in this one.")] = 0,
    transform: Transform = None,
    overwrite: Annotated[bool, Option("--overwrite", help="Do subjects again.")] = False,
    as_json: AsJson = False,
) -> int:
    """Run the transform once and store the subjects, so that a patch costs what a patch is.

    With --msd, --nnunet, --csv or --glob the only argument is OUTPUT. It can be stopped, and
    goes on where it was.
    """
    if output is None and (msd or nnunet or csv or glob):
        source, output = None, source
    if output is None:
        raise CommandError("a folder to write is expected: voxloom prepare DATA OUTPUT")
    if layout not in ("nifti", "zarr"):
        raise CommandError(f"--layout is nifti or zarr, got {layout!r}")
    chosen = choose_dataset(source, msd, nnunet, csv, glob, image, label)
    if not as_json:
        note(chosen.says)
    chosen.dataset.set_transform(load_callable(transform, "--transform"))
    size = None if patch_size is None else choose_patch_size(patch_size, CheckReport((), ()))
    from voxloom.prepared import prepare as prepare_dataset

    stored = prepare_dataset(chosen.dataset, output, size, workers, layout, overwrite)
    size_bytes = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    result = {"folder": str(output), "subjects": len(stored), "bytes": size_bytes, "layout": layout}
    if as_json:
        say_json(result)
        return ExitCode.OK
    say(f"{len(stored)} subjects, {size_bytes / 2**20:.1f} MiB in {output}; read them with")
    say(f"  dataset = voxloom.open_prepared({cast(str, result['folder'])!r})")
    return ExitCode.OK
