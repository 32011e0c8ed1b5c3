"""``voxloom prepare``: a data set stored for reads by region."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

from voxloom._errors import CommandError
from voxloom.cli._main import ExitCode
from voxloom.cli._options import DataOptions, grouped
from voxloom.cli._sampling import parse_patch_size
from voxloom.cli._sources import load_callable
from voxloom.cli._terminal import note, say, say_json
from voxloom.cli._typer import Argument, AsJson, Option, Source, Transform
from voxloom.subjects._check_report import counted

EXAMPLES = """[bold]Examples:[/bold]

  voxloom prepare data/ prepared/

  voxloom prepare --msd Task09_Spleen prepared/ --layout zarr --patch-size 96 --workers 4

  voxloom prepare data/ prepared/ --transform training:to_one_millimetre
"""


@grouped
def prepare(
    source: Source = None,
    output: Annotated[
        Path | None, Argument(metavar="OUTPUT", help="Folder to write; made if missing.")
    ] = None,
    *,
    data: DataOptions,
    patch_size: Annotated[
        str | None, Option(metavar="N[,N,N]", help="Of the patches that will be cut from it.")
    ] = None,
    layout: Annotated[
        str,
        Option(
            metavar="nifti|zarr",
            help="nifti: uncompressed, the fastest. zarr: about half the size.",
        ),
    ] = "nifti",
    workers: Annotated[int, Option(min=0, help="Processes; 0 does it in this one.")] = 0,
    transform: Transform = None,
    overwrite: Annotated[
        bool, Option("--overwrite", help="Do subjects again, and replace another data set.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Run the transform once and store the subjects, so that a patch costs what a patch is.

    With --msd, --nnunet, --csv or --glob the only argument is OUTPUT. It can be stopped, and
    goes on where it was.
    """
    if output is None and data.names_a_source:
        source, output = None, source
    if output is None:
        raise CommandError("a folder to write is expected: voxloom prepare DATA OUTPUT")
    if layout not in ("nifti", "zarr"):
        raise CommandError(f"--layout is nifti or zarr, got {layout!r}")
    size = None if patch_size is None else parse_patch_size(patch_size)
    chosen = data.open(source)
    _check_apart(output, source or data.msd or data.nnunet)
    if not as_json:
        note(chosen.says)
    chosen.dataset.set_transform(load_callable(transform, "--transform"))
    from voxloom.prepared import prepare as prepare_dataset

    stored = prepare_dataset(chosen.dataset, output, size, workers, layout, overwrite)
    size_bytes = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    result = {"folder": str(output), "subjects": len(stored), "bytes": size_bytes, "layout": layout}
    if as_json:
        say_json(result)
        return ExitCode.OK
    took = f"{counted(len(stored), 'subject')}, {size_bytes / 2**20:.1f} MiB"
    say(f"{took} in {output}; read them with")
    say(f"  dataset = voxloom.open_prepared({cast(str, result['folder'])!r})")
    return ExitCode.OK


def _check_apart(output: Path, source: Path | None) -> None:
    """Refuse to write among the data, where what is written would be taken for data."""
    if source is not None and output.resolve().is_relative_to(source.resolve()):
        raise CommandError(
            f"OUTPUT {str(output)!r} lies in DATA {str(source)!r}, where it would be taken for "
            "data; give a folder beside it"
        )
