"""``voxloom view``: volumes in the browser, with sampled patches as boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from voxloom._errors import CommandError, VolumeNotFoundError
from voxloom.cli._folder import looks_like_labels
from voxloom.cli._main import ExitCode
from voxloom.cli._sampling import choose_patch_size, choose_sampler, describe_sampler
from voxloom.cli._sources import Chosen, choose_dataset
from voxloom.cli._terminal import note, say, working
from voxloom.cli._typer import (
    Argument,
    Csv,
    Glob,
    Labels,
    MapName,
    Msd,
    Nnunet,
    Option,
    PatchSizeText,
    SamplerName,
    Seed,
    Shares,
)
from voxloom.patches import PatchSampler
from voxloom.subjects import LabelMap, ScalarImage, Subject, SubjectsDataset

EXAMPLES = """[bold]Examples:[/bold]

  voxloom view t1.nii.gz seg.nii.gz

  voxloom view data/ --patch-size 96 --shares 0=1,1=2

  voxloom view data/ --patches 0 --port 8000
"""


def view(
    sources: Annotated[
        list[Path] | None,
        Argument(
            metavar="[SUBJECT]...",
            help="Volumes of one subject; or one folder of volumes, or table (.csv, .tsv).",
            show_default=False,
        ),
    ] = None,
    msd: Msd = None,
    nnunet: Nnunet = None,
    csv: Csv = None,
    glob: Glob = None,
    label: Labels = None,
    patch_size: PatchSizeText = None,
    sampler: SamplerName = "auto",
    map_name: MapName = None,
    shares: Shares = None,
    patches: Annotated[
        int, Option(min=0, max=64, help="How many are shown as boxes in each subject.")
    ] = 8,
    seed: Seed = 0,
    port: Annotated[int, Option(min=0, max=65535, help="Where to listen; 0 takes any.")] = 0,
) -> int:
    """Show volumes in the browser, with sampled patches as boxes, until Ctrl-C."""
    given = sources or []
    if _are_volumes(given):
        chosen = subject_of_files(given, label or ())
    elif len(given) > 1:
        raise CommandError("several arguments are volumes of one subject; give one folder alone")
    else:
        chosen = choose_dataset(given[0] if given else None, msd, nnunet, csv, glob, None, label)
    note(chosen.says)
    cutter = None
    if patches:
        cutter = _choose_sampler(chosen, patch_size, sampler, map_name, shares)
        note(f"boxes: {patches} patches by {describe_sampler(cutter)}, seed {seed}")
    from voxloom.view import serve_volumes

    with serve_volumes(chosen.dataset, cutter, patches or 1, seed=seed, port=port) as server:
        say(server.address)
        note("open it in a browser; Ctrl-C ends it")
        server.wait()
    return ExitCode.OK


def subject_of_files(files: Sequence[Path], labels: Sequence[str]) -> Chosen:
    """Return one subject of these files; images are called as the files are.

    Raises
    ------
    CommandError
        If two files have one name, or a name that is marked is none of them.
    VolumeNotFoundError
        If a file is not there.
    """
    names = [_name_of(file) for file in files]
    unknown = [name for name in labels if name not in names]
    if unknown:
        raise CommandError(f"--label names {', '.join(unknown)}; images are {', '.join(names)}")
    if len({*names}) < len(names):
        raise CommandError(f"images of a subject need names of their own, got {', '.join(names)}")
    for file in files:
        if not file.exists():
            raise VolumeNotFoundError(f"there is no file {str(file)!r}; check the path")
    images: dict[str, Any] = {
        name: (LabelMap if name in labels or looks_like_labels(name) else ScalarImage)(file)
        for name, file in zip(names, files, strict=True)
    }
    listed = ", ".join(
        f"{name} ({'label map' if isinstance(image, LabelMap) else 'image'})"
        for name, image in images.items()
    )
    subject = Subject({**images, "subject_id": files[0].parent.name or "subject"})
    return Chosen(SubjectsDataset([subject]), f"One subject: {listed}")


def _are_volumes(sources: Sequence[Path]) -> bool:
    from voxloom.io import known_suffixes

    return bool(sources) and all(
        source.name.lower().endswith(tuple(known_suffixes()))
        and (source.is_file() or not source.exists() or len(sources) > 1)
        for source in sources
    )


def _choose_sampler(
    chosen: Chosen, size: str | None, name: str, map_name: str | None, shares: str | None
) -> PatchSampler:
    with working("reading headers"):
        patch_size = choose_patch_size(size, chosen.dataset.check())
    return choose_sampler(name, patch_size, chosen.dataset.dry_iter()[0], map_name, shares)


def _name_of(file: Path) -> str:
    name = file.name.split(".", 1)[0]
    return "".join(letter if letter.isalnum() else "_" for letter in name).lstrip("_") or "image"
