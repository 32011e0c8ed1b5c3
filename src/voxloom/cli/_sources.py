"""From what was typed to a data set."""

from __future__ import annotations

import errno
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from voxloom._errors import CommandError, LayoutError, VolumeNotFoundError
from voxloom.cli._bids import FoundBids, find_bids, is_bids
from voxloom.cli._folder import FoundLayout, find_layout, looks_like_labels
from voxloom.io._zarr import is_zarr
from voxloom.subjects import LabelMap, ScalarImage, Subject, SubjectsDataset
from voxloom.subjects._check_report import counted
from voxloom.subjects._layout_bids import read_bids
from voxloom.subjects._layout_json import declared_labels, read_json
from voxloom.subjects._layout_msd import read_msd
from voxloom.subjects._layout_nnunet import read_nnunet
from voxloom.subjects._layout_nnunet_prepared import is_prepared_by_nnunet
from voxloom.subjects._layout_table import ID_COLUMNS, column_types, read_table, types_of

_TABLES: Final = {".csv", ".tsv"}


@dataclass(frozen=True, slots=True)
class Chosen:
    """A data set, and how it was found.

    Attributes
    ----------
    dataset : SubjectsDataset
        What was found.
    says : str
        In one sentence how the files were read.
    labels : frozenset of int, optional
        Those that the data set declares, if it does.
    """

    dataset: SubjectsDataset
    says: str
    labels: frozenset[int] | None = None


def choose_dataset(
    source: Path | None = None,
    msd: Path | None = None,
    nnunet: Path | None = None,
    csv: Path | None = None,
    glob: Sequence[str] | None = None,
    images: Sequence[str] | None = None,
    labels: Sequence[str] | None = None,
) -> Chosen:
    """Return the data set of exactly one source.

    Raises
    ------
    CommandError
        If there is none or there are several, or a pattern is not ``NAME=PATTERN``.
    VoxloomError
        If the files cannot be read as that.
    """
    asked = {"DATA": source, "--msd": msd, "--nnunet": nnunet, "--csv": csv, "--glob": glob}
    given = [name for name, value in asked.items() if value]
    if len(given) != 1:
        raise CommandError(
            f"one of {', '.join(asked)} is expected, got {' and '.join(given) or 'none'}"
        )
    if msd is not None or nnunet is not None:
        _refuse_names("--msd" if msd is not None else "--nnunet", images, labels)
    if msd is not None:
        return _from_msd(_inner_dataset(msd))
    if nnunet is not None:
        return _from_nnunet(_inner_dataset(nnunet))
    if csv is not None:
        return _from_table(csv, images or (), labels or ())
    if glob:
        return _from_patterns(glob, labels or ())
    assert source is not None
    return _from_path(source, images or (), labels or ())


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
    _check_known(labels, names)
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


def load_object(text: str, option: str) -> Any:
    """Return what ``MODULE:NAME`` names; modules are also found in the current folder.

    Raises
    ------
    CommandError
        If there is no such module or name, or the module ends the program.

    Examples
    --------
    >>> load_object("math:sqrt", "--transform")(9.0)
    3.0
    """
    module_name, separator, name = text.partition(":")
    if not (separator and all(module_name.split(".")) and name):
        raise CommandError(f"{option} is MODULE:NAME, such as training:prepare, got {text!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))  # workers inherit it, and find the module too
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not module_name.startswith(error.name):
            raise
        raise CommandError(
            f"{option}: there is no module {module_name!r} here or among the installed ones"
        ) from error
    except SystemExit as error:
        raise CommandError(
            f"{option}: module {module_name!r} ends the program when it is imported; put what a "
            "script does under if __name__ == '__main__'"
        ) from error
    if not hasattr(module, name):
        raise CommandError(f"{option}: module {module_name!r} has no {name!r}")
    return getattr(module, name)


def load_callable(text: str | None, option: str) -> Callable[..., Any] | None:
    """Return what ``MODULE:NAME`` names, which must be callable; None for None.

    Raises
    ------
    CommandError
        As `load_object` does, and if it cannot be called.
    """
    if text is None:
        return None
    found = load_object(text, option)
    if not callable(found):
        raise CommandError(f"{option} names something to call, {text!r} is {found!r}")
    result: Callable[..., Any] = found
    return result


def make_folder(folder: Path) -> None:
    """Make a folder to write to, before the work that will need it.

    Raises
    ------
    CommandError
        If it is a file.
    OSError
        If it cannot be made, or nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"--output is a folder, and {str(folder)!r} is a file")
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _chosen(dataset: SubjectsDataset, says: str, advice: str = "") -> Chosen:
    return Chosen(dataset, f"{says}: {counted(len(dataset), 'subject')}{advice}")


def _from_path(source: Path, images: Sequence[str], labels: Sequence[str]) -> Chosen:
    path = _inner_dataset(source)
    if path.suffix.lower() in _TABLES:
        return _from_table(path, images, labels)
    if path.is_file() and path.name != "dataset.json":
        return subject_of_files([path], labels or ())
    if images:
        raise CommandError("--image names columns of a table; for a folder use --glob NAME=PATTERN")
    description = _description(path)
    names_images = {"training", "channel_names"} & description.keys()
    if names_images or is_prepared_by_nnunet(path) or _is_prepared(path):
        _refuse_names(f"{path}, which says it itself,", images, labels)
    if "training" in description:
        return _from_msd(path)
    if "channel_names" in description or is_prepared_by_nnunet(path):
        return _from_nnunet(path)
    if _is_prepared(path):
        from voxloom.prepared import open_prepared

        return _chosen(open_prepared(path), f"Read {path} as a prepared store")
    if is_zarr(str(path)):
        return subject_of_files([path], labels)
    if is_bids(path) and (found := find_bids(path)).images:
        return _from_bids(path, found, labels)
    return _from_layout(path, find_layout(path), labels)


def _inner_dataset(path: Path) -> Path:
    """Return the only data set in a folder of data sets, such as nnUNet_raw; else the path, whole.

    Raises
    ------
    CommandError
        If there are several, or other folders beside it.
    """
    path = path.expanduser()
    if not path.is_dir() or (path / "dataset.json").exists():
        return path
    folders = sorted(one for one in path.iterdir() if one.is_dir() and one.name[0] != ".")
    inner = [one for one in folders if {"training", "channel_names"} & _description(one).keys()]
    if not inner:
        return path
    if len(folders) > 1:
        raise CommandError(
            f"{path} holds several folders; give one data set: {', '.join(map(str, inner))}"
        )
    return inner[0]


# What is not there, here and below, is for `check` to report, all of it, and for whoever reads it.


def _from_msd(path: Path) -> Chosen:
    subjects = read_msd(path, verify_paths=False)
    return _described(path, subjects, "a Decathlon data set")


def _from_nnunet(path: Path) -> Chosen:
    subjects = read_nnunet(path, verify_paths=False)
    return _described(path, subjects, "nnU-Net's layout")


def _described(path: Path, subjects: list[Subject], kind: str) -> Chosen:
    chosen = _chosen(SubjectsDataset(subjects), f"Read {path} as {kind}")
    return replace(chosen, labels=declared_labels(_description(path)))


def _refuse_names(source: str, images: Any, labels: Any) -> None:
    given = [name for name, value in (("--image", images), ("--label", labels)) if value]
    if given:
        raise CommandError(
            f"{' and '.join(given)} cannot be given for {source}: what its images are is known"
        )


def _description(path: Path) -> dict[str, Any]:
    file = path if path.name == "dataset.json" else path / "dataset.json"
    try:
        return read_json(file)[0] if file.is_file() else {}
    except LayoutError as error:
        raise LayoutError(f"{error}; correct it, or name the images with --glob") from error


def _is_prepared(path: Path) -> bool:
    from voxloom.prepared._store import MANIFEST, SUBJECTS

    return (path / MANIFEST).is_file() and (path / SUBJECTS).is_dir()


def _from_layout(path: Path, layout: FoundLayout, labels: Sequence[str]) -> Chosen:
    names = layout.images
    _check_known(labels, names)
    marked = {*labels} or layout.labels
    subjects = [_subject(key, files, names, marked) for key, files in layout.files.items()]
    listed = ", ".join(f"{name} ({'label map' if name in marked else 'image'})" for name in names)
    says = f"Read {path}: what tells images apart is {layout.says}; {listed}"
    return _chosen(SubjectsDataset(subjects), says, "" if marked else layout.advice)


def _subject(key: str, files: dict[str, Path], names: list[str], marked: Any) -> Subject:
    images: dict[str, Any] = {
        name: (LabelMap if name in marked else ScalarImage)(files[name], verify_path=False)
        for name in names
        if name in files
    }
    return Subject(subject_id=key, **images)


def _from_bids(path: Path, found: FoundBids, labels: Sequence[str]) -> Chosen:
    _check_known(labels, list(found.images))
    marked = {*labels} or {name for name in found.images if looks_like_labels(name)}
    queries = {name: name for name in found.images}
    subjects = read_bids(path, queries, marked, derivatives=found.derivatives, missing="omit")
    kinds = (f"{name} ({'label map' if name in marked else 'image'})" for name in found.images)
    says = f"Read {path} as a BIDS data set: {', '.join(kinds)}"
    if found.left_out:
        says += f"; left out: {', '.join(found.left_out)}"
    return _chosen(SubjectsDataset(subjects), says)


def _from_table(path: Path, images: Sequence[str], labels: Sequence[str]) -> Chosen:
    _check_columns(path, images, labels)
    types = types_of(intensity=images, label=labels)
    subjects = read_table(path, types, missing="omit", verify_paths=False)
    return _chosen(SubjectsDataset(subjects), f"Read {path} as a table")


def _check_columns(path: Path, images: Sequence[str], labels: Sequence[str]) -> None:
    types = column_types(path)
    has = f"its columns are {', '.join(types)}"
    if not (images or labels or any(types.values())):
        raise CommandError(
            f"{path}: name the columns that hold paths, with --image and --label; {has}"
        )
    if unknown := [name for name in (*images, *labels) if name not in types]:
        raise CommandError(f"{path} has no {', '.join(unknown)} for --image or --label; {has}")
    if both := {*images} & {*labels}:
        raise CommandError(f"{', '.join(sorted(both))} is given as --image and as --label")
    if not types.keys() & ID_COLUMNS:
        raise LayoutError(f"{path}: call the column of ids {' or '.join(ID_COLUMNS)}; {has}")


def _from_patterns(glob: Sequence[str], labels: Sequence[str]) -> Chosen:
    patterns: dict[str, Any] = {}
    for one in glob:
        name, separator, pattern = one.partition("=")
        if not (separator and name.isidentifier() and pattern):
            raise CommandError(
                f"--glob is NAME=PATTERN, such as 't1=data/{{subject}}/t1.nii.gz', got {one!r}"
            )
        if name in patterns:
            raise CommandError(
                f"--glob names {name!r} twice, {patterns[name]!r} and {pattern!r}; rename one"
            )
        patterns[name] = pattern
    _check_known(labels, list(patterns))
    marked = list(labels) or [name for name in patterns if looks_like_labels(name)]
    try:
        dataset = SubjectsDataset.from_glob(labels=marked, missing="omit", **patterns)
    except LayoutError as error:
        raise CommandError(f"--glob: {error}") from error
    return _chosen(dataset, f"Read {', '.join(glob)}, label maps: {', '.join(marked) or 'none'}")


def _check_known(labels: Sequence[str], names: Sequence[str]) -> None:
    unknown = [name for name in labels if name not in names]
    if unknown:
        raise CommandError(f"--label names {', '.join(unknown)}; images are {', '.join(names)}")


def _name_of(file: Path) -> str:
    name = file.name.split(".", 1)[0]
    return "".join(letter if letter.isalnum() else "_" for letter in name).lstrip("_") or "image"
