"""A prepared store: its manifest, and the data set that is read from it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from voxloom._errors import PreparedError
from voxloom.io import PreparedSource
from voxloom.prepared._metadata import from_json
from voxloom.prepared._write import RECORD, checksums
from voxloom.subjects import Image, LabelMap, ScalarImage, Subject, SubjectsDataset

MANIFEST: Final = "manifest.json"
SUBJECTS: Final = "subjects"
FORMAT: Final = "voxloom prepared store"
VERSION: Final = 2
_CLASSES: Final = {"ScalarImage": ScalarImage, "LabelMap": LabelMap}


def open_prepared(folder: str | os.PathLike[str], *, verify: bool = False) -> SubjectsDataset:
    """Return the data set that `prepare` wrote into a folder.

    Its images are read by region. There is no transform: set one, if patches shall be changed
    on the way, with `SubjectsDataset.set_transform`.

    Parameters
    ----------
    folder : str or path-like
        The store.
    verify : bool
        Whether every file is read and compared with its checksum.

    Raises
    ------
    PreparedError
        A ValueError and OSError, if there is no store, or it is damaged.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from voxloom.prepared import prepare
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8), dtype=np.int16)), age=42)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = prepare(SubjectsDataset([subject]), folder)
    ...     dataset = open_prepared(folder, verify=True)
    ...     dataset[0].shape, dataset[0].age
    ((1, 8, 8, 8), 42)
    """
    root = Path(folder).expanduser()
    manifest = read_manifest(root)
    subjects = []
    for entry in manifest["subjects"]:
        place = root / SUBJECTS / entry["key"]
        if verify:
            _verify(place, entry["record"])
        subjects.append(_subject(place, entry["record"]))
    return SubjectsDataset(subjects)


def read_manifest(root: Path) -> dict[str, Any]:
    """Return the manifest of a store.

    Raises
    ------
    PreparedError
        If there is none, or it is of another version.
    """
    path = root / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PreparedError(
            f"{path}: there is no prepared store here, or it was never finished; run "
            "voxloom.prepare with the same arguments, it goes on where it stopped"
        ) from None
    except ValueError as error:
        raise PreparedError(f"{path}: is not JSON, {error}; prepare the data set again") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise PreparedError(f"{path}: is not the manifest of a prepared store")
    if manifest.get("version") != VERSION:
        raise PreparedError(
            f"{path}: expected version {VERSION}, got {manifest.get('version')!r}; prepare the "
            "data set again"
        )
    entries = manifest.get("subjects")
    if not isinstance(entries, list) or not all(map(_is_entry, entries)):
        raise PreparedError(f"{path}: its list of subjects is damaged; prepare the data set again")
    return manifest


def read_record(place: Path) -> dict[str, Any] | None:
    """Return the record of a subject whose files are all there in their sizes, or None."""
    try:
        record: dict[str, Any] = json.loads((place / RECORD).read_text(encoding="utf-8"))
        whole = all(
            (place / name).stat().st_size == facts["bytes"]
            for name, facts in record["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return record if whole else None


def stored_ids(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the place and the id of each subject that is whole and has one."""
    for place in (root / SUBJECTS).iterdir():
        for item in (read_record(place) or {}).get("items", ()):
            if item["name"] == "subject_id" and "value" in item:
                yield place.name, str(from_json(item["value"]))


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("key"), str):
        return False
    record = entry.get("record")
    return isinstance(record, dict) and isinstance(record.get("files"), dict)


def _subject(place: Path, record: Mapping[str, Any]) -> Subject:
    try:
        items = {item["name"]: _item(place, item) for item in record["items"]}
        return Subject(items, space_tolerance=record["space_tolerance"])
    except (KeyError, TypeError) as error:
        raise PreparedError(
            f"{place}: its record in the manifest is damaged, {error!r}; prepare the data set again"
        ) from error


def _item(place: Path, item: Mapping[str, Any]) -> Any:
    if "file" not in item:
        return from_json(item["value"])
    index = item["index"]
    source = PreparedSource(
        place / item["file"],
        affine=item["affine"],
        dtype=item["dtype"],
        index=None if index is None else place / index,
    )
    kind = _CLASSES.get(item["class"], Image)
    return kind.from_source(source, item["type"], **from_json(item["metadata"]))


def _verify(place: Path, record: Mapping[str, Any]) -> None:
    found, expected = checksums(place), record["files"]
    if found == expected:
        return
    wrong = [name for name in sorted({*found, *expected}) if found.get(name) != expected.get(name)]
    raise PreparedError(
        f"{place}: {', '.join(wrong)} changed since it was prepared; prepare the data set again "
        "with overwrite=True"
    )
