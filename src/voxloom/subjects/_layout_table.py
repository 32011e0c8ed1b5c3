"""Tables of subjects: a row each, with paths of images and metadata."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._cells import format_cell, parse_cell
from voxloom.subjects._image import Image, LabelMap, ScalarImage
from voxloom.subjects._keys import INTENSITY, LABEL, SAMPLING_MAP
from voxloom.subjects._layout_subject import make_subject
from voxloom.subjects._paths import OnePath, Url, path_of
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import (
    check_ids,
    explain_lost,
    find_file,
    listed,
    parse_missing,
)

Table = str | os.PathLike[str] | Iterable[Mapping[str, Any]]
"""A CSV or TSV file, a pandas data frame, or rows as mappings."""

ID_COLUMNS: Final = ("subject_id", "participant_id", "subject", "id")
"""What the column of ids may be called, the first one first."""

_TYPES: Final = (INTENSITY, LABEL, SAMPLING_MAP)
_CLASSES: Final[Mapping[str, type[Image]]] = {INTENSITY: ScalarImage, LABEL: LabelMap}


def read_table(
    table: Any,
    types: Mapping[str, str],
    subject_id: str | None = None,
    missing: str = "raise",
    *,
    verify_paths: bool = True,
) -> list[Subject]:
    """Return a subject for each row. `types` gives the image columns; see `from_csv`.

    Without `verify_paths`, a file that is not there is an error when it is read.
    """
    choice = parse_missing(missing)
    rows, folder, where = _rows_of(table)
    if not rows:
        raise LayoutError(f"{where} has no rows")
    columns = list(rows[0])
    _check_once(columns, where)
    names = {column: _name_in(column) for column in columns}
    kinds = {names[column]: _type_in(column) for column in columns if _type_in(column)}
    kinds.update(types)
    _check_columns(kinds, list(names.values()), where)
    id_column = _id_column(subject_id, list(names.values()), where)
    subjects = []
    for number, row in enumerate(rows, start=1):
        values = {names[column]: value for column, value in row.items()}
        identity = _identity(values.pop(id_column), f"{where}, row {number}", id_column)
        place = f"{where}, row {number} ({identity})"
        images = _images(values, kinds, folder, place, choice, verify_paths)
        if images is None:
            continue
        metadata = {name: value for name, value in values.items() if name not in kinds}
        parsed = {name: _parsed(value) for name, value in metadata.items()}
        subjects.append(make_subject({"subject_id": identity, **images, **parsed}, place))
    check_ids((subject["subject_id"] for subject in subjects), where)
    return subjects


def column_types(path: Path) -> dict[str, str]:
    """Return the columns of a table by name, and the type that each says, '' where it says none.

    Raises
    ------
    VolumeNotFoundError
        If there is no such table.
    LayoutError
        If it is not one, or has no rows.
    """
    rows, _, where = _rows_of(path)
    if not rows:
        raise LayoutError(f"{where} has no rows")
    return {_name_in(column): _type_in(column) for column in rows[0]}


def types_of(**columns: Any) -> dict[str, str]:
    """Return the type of each column, given the columns of each type.

    Raises
    ------
    LayoutError
        If columns are not in a collection, or one has two types.

    Examples
    --------
    >>> types_of(intensity=["t1"], label=["seg"])
    {'t1': 'intensity', 'seg': 'label'}
    """
    types: dict[str, str] = {}
    for kind, names in columns.items():
        if isinstance(names, str):
            raise LayoutError(f"columns are given as a list, [{names!r}], got {names!r}")
        for name in names:
            if types.setdefault(name, kind) != kind:
                raise LayoutError(f"the column {name!r} is said to be {types[name]} and {kind}")
    return types


def write_table(subjects: Sequence[Subject], path: str | os.PathLike[str]) -> None:
    """Write the paths and metadata of subjects as a table. See `to_csv`."""
    target = Path(path)
    rows = [_row(number, subject, target.parent) for number, subject in enumerate(subjects)]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", delimiter=_delimiter(target))
        writer.writeheader()
        writer.writerows(rows)


def _rows_of(table: Any) -> tuple[list[Mapping[str, Any]], Path, str]:
    if not isinstance(table, str | os.PathLike):
        rows = table.to_dict("records") if hasattr(table, "to_dict") else list(table)
        return rows, Path(), "the table"
    path = Path(table).expanduser()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = ";" if _is_by_semicolons(header) else _delimiter(path)
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            rows = list(reader)
            _check_header(reader.fieldnames or [], path)
    except FileNotFoundError as error:
        raise VolumeNotFoundError(f"there is no table {str(path)!r}; check the path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise LayoutError(f"{path} is not a table in UTF-8: {error}") from error
    ragged = [n for n, row in enumerate(rows, start=1) if None in row or None in row.values()]
    if ragged:
        raise LayoutError(
            f"{path}: row {ragged[0]} has more or fewer cells than the header; a cell that holds "
            f"{delimiter!r} is written in double quotes"
        )
    return rows, path.parent, str(path)


def _is_by_semicolons(header: str) -> bool:
    """Return whether a table has semicolons between cells, as where commas are in numbers."""
    return ";" in header and "," not in header and "\t" not in header


def _check_header(names: Sequence[str], path: Path) -> None:
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise LayoutError(f"{path} has several columns {twice}; give each a name of its own")


def _check_once(columns: Sequence[str], where: str) -> None:
    untyped = [column.rpartition(":")[0] for column in columns if _type_in(column)]
    twice = sorted({*untyped} & {*columns})
    if twice:
        raise LayoutError(f"{where} has columns {twice} with and without a type; keep one of each")


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix.lower() in (".tsv", ".tab") else ","


def _name_in(column: str) -> str:
    return column.rpartition(":")[0] if _type_in(column) else column


def _type_in(column: str) -> str:
    kind = column.rpartition(":")[2]
    return kind if ":" in column and kind in _TYPES else ""


def _check_columns(kinds: Mapping[str, str], names: list[str], where: str) -> None:
    if not kinds:
        raise LayoutError(
            f"{where} has columns {names}; say which hold paths of images, e.g. "
            "from_csv(table, images=['t1'], labels=['seg']), or call a column 't1:intensity' or "
            "'seg:label'"
        )
    unknown = sorted(kinds.keys() - set(names))
    if unknown:
        raise LayoutError(f"{where} has no columns {unknown}; it has {names}")


def _id_column(asked: str | None, names: list[str], where: str) -> str:
    candidates = (asked,) if asked else ID_COLUMNS
    for name in candidates:
        if name in names:
            return name
    raise LayoutError(
        f"{where} has no column {' or '.join(map(repr, candidates))} for the id of the subject; "
        f"it has {names}; name one with subject_id="
    )


def _identity(value: Any, where: str, column: str) -> str:
    text = str(value).strip()
    if value is None or not text:
        raise LayoutError(f"{where}: the column {column!r} is empty; every subject needs an id")
    return text


def _images(
    values: Mapping[str, Any],
    kinds: Mapping[str, str],
    folder: Path,
    where: str,
    missing: str,
    verify: bool,
) -> dict[str, Image] | None:
    images = {}
    for name, kind in kinds.items():
        paths = _paths(values[name])
        found = [_found(path, folder, verify) for path in paths]
        files = [file for file in found if file is not None]
        if paths and len(files) == len(paths):
            made = _CLASSES.get(kind, Image)
            one_or_all = files[0] if len(files) == 1 else files
            images[name] = made(one_or_all, type=kind, verify_path=verify)
        elif missing == "skip":
            return None
        elif missing == "raise":
            lost = [folder / path for path, file in zip(paths, found, strict=True) if file is None]
            expected = listed(map(explain_lost, lost))
            raise VolumeNotFoundError(
                f"{where}: there is no {name!r}, "
                + (f"expected at {expected}" if paths else "its cell is empty")
                + "; give missing='skip' or missing='omit' if that is as it should be"
            )
    return images


def _found(path: str, folder: Path, verify: bool) -> OnePath | None:
    named = path_of(path)
    if isinstance(named, Url):
        return named
    whole = folder / named.expanduser()
    return find_file(whole) or (None if verify else whole)


def _paths(value: Any) -> list[str]:
    if isinstance(value, str) and not value.startswith("["):
        return [value] if value.strip() else []
    parsed = parse_cell(value) if isinstance(value, str) else value
    if isinstance(parsed, os.PathLike | str):
        return [os.fspath(parsed)]
    return [os.fspath(path) for path in parsed] if isinstance(parsed, list | tuple) else []


def _parsed(value: Any) -> Any:
    return parse_cell(value) if isinstance(value, str) else value


def _row(number: int, subject: Subject, folder: Path) -> dict[str, str]:
    row = {"subject_id": str(subject.get("subject_id", f"subject-{number:04d}"))}
    for name, value in subject.items():
        if isinstance(value, Image):
            row[f"{name}:{value.type}"] = _written_path(value, name, subject, folder)
        elif name != "subject_id":
            row[name] = format_cell(value)
    return row


def _written_path(image: Image, name: str, subject: Subject, folder: Path) -> str:
    if image.path is None:
        raise LayoutError(
            f"image {name!r} of {subject.describe()} is in memory and has no path to write into "
            "a table; save it with image.save(path), and open that"
        )
    paths = image.path if isinstance(image.path, tuple) else (image.path,)
    texts = [_as_written(path, folder.absolute()) for path in paths]
    return texts[0] if len(texts) == 1 else format_cell(texts)


def _as_written(path: OnePath, base: Path) -> str:
    if isinstance(path, Url):
        return str(path)
    whole = path.absolute()
    return os.fspath(whole.relative_to(base) if whole.is_relative_to(base) else whole)
