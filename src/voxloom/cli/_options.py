"""Options that several commands share: each group is one parameter, and one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from voxloom.cli._sampling import choose_patch_size, choose_sampler
from voxloom.cli._sources import Chosen, choose_dataset
from voxloom.cli._typer import Option
from voxloom.patches import PatchSampler
from voxloom.subjects import CheckReport, SubjectsDataset

_DATA = "Where the data are"
_PATCHES = "How patches are cut"


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Where the data are, other than the argument."""

    msd: Annotated[
        Path | None,
        Option(
            "--msd",
            help="Folder or dataset.json of the Medical Segmentation Decathlon.",
            rich_help_panel=_DATA,
        ),
    ] = None
    nnunet: Annotated[
        Path | None,
        Option("--nnunet", help="Folder in the raw layout of nnU-Net.", rich_help_panel=_DATA),
    ] = None
    csv: Annotated[
        Path | None,
        Option("--csv", help="Table with a row for each subject.", rich_help_panel=_DATA),
    ] = None
    glob: Annotated[
        list[str] | None,
        Option(
            "--glob",
            metavar="NAME=PATTERN",
            help="Files of one image, as 't1=data/{subject}/t1.nii.gz'. Repeat for each image.",
            rich_help_panel=_DATA,
        ),
    ] = None
    image: Annotated[
        list[str] | None,
        Option(
            "--image",
            metavar="NAME",
            help="Column of images in the table. Repeat for more.",
            rich_help_panel=_DATA,
        ),
    ] = None
    label: Annotated[
        list[str] | None,
        Option(
            "--label",
            metavar="NAME",
            help="This image is a label map. Repeat for more.",
            rich_help_panel=_DATA,
        ),
    ] = None

    @property
    def names_a_source(self) -> bool:
        """Whether an option says where the data are, so that no argument does."""
        return bool(self.msd or self.nnunet or self.csv or self.glob)

    def open(self, source: Path | None) -> Chosen:
        """Return the data set of the argument or of an option. See `choose_dataset`."""
        return choose_dataset(
            source, self.msd, self.nnunet, self.csv, self.glob, self.image, self.label
        )


@dataclass(frozen=True, slots=True)
class PatchOptions:
    """How patches are cut."""

    patch_size: Annotated[
        str | None,
        Option(
            "--patch-size",
            metavar="N[,N,N]",
            help="Voxels along each axis; by default up to 96, and two thirds of the smallest.",
            rich_help_panel=_PATCHES,
            show_default=False,
        ),
    ] = None
    sampler: Annotated[
        str,
        Option(
            "--sampler",
            metavar="auto|uniform|label|weighted",
            help="auto: by label where there is a label map, else uniform.",
            rich_help_panel=_PATCHES,
        ),
    ] = "auto"
    map_name: Annotated[
        str | None,
        Option(
            "--map",
            metavar="NAME",
            help="Label map or sampling map of the sampler; by default the first.",
            rich_help_panel=_PATCHES,
        ),
    ] = None
    shares: Annotated[
        str | None,
        Option(
            "--shares",
            metavar="LABEL=SHARE,...",
            help="How often each label is the centre, as '0=1,1=2'.",
            rich_help_panel=_PATCHES,
        ),
    ] = None

    def make_sampler(self, dataset: SubjectsDataset, report: CheckReport) -> PatchSampler:
        """Return the sampler that was asked for. See `choose_sampler`."""
        size = choose_patch_size(self.patch_size, report)
        return choose_sampler(self.sampler, size, dataset.dry_iter()[0], self.map_name, self.shares)


def grouped(command: Callable[..., int]) -> Callable[..., int]:
    """Return a command whose groups of options are one option for each of their fields.

    Parameters
    ----------
    command : callable
        A parameter whose type is a dataclass is a group: it is put together from its options.

    Examples
    --------
    >>> @grouped
    ... def count(source: Path, patches: PatchOptions) -> int:
    ...     return len(patches.sampler)
    >>> list(signature(count).parameters)
    ['source', 'patch_size', 'sampler', 'map_name', 'shares']
    >>> count(source=".", patch_size=None, sampler="uniform", map_name=None, shares=None)
    7
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: kind for name, kind in hints.items() if is_dataclass(kind)}
    parameters: list[Parameter] = []
    for parameter in signature(command).parameters.values():
        kind = groups.get(parameter.name)
        if kind is None:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
        else:
            parameters += _parameters_of(kind)

    @wraps(command)
    def spread(**given: Any) -> int:
        values = {
            name: kind(**{one.name: given.pop(one.name) for one in fields(kind)})
            for name, kind in groups.items()
        }
        return command(**given, **values)

    spread.__signature__ = Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    spread.__annotations__ = {one.name: one.annotation for one in parameters} | {"return": int}
    return spread


def _parameters_of(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            one.name,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=one.default,
            annotation=hints[one.name],
        )
        for one in fields(group)
    ]
