"""Data sets of the Medical Segmentation Decathlon (Antonelli et al., 2022)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from voxloom._errors import LayoutError
from voxloom.subjects._image import LabelMap, ScalarImage
from voxloom.subjects._layout_json import existing_files, names_by_number, read_json
from voxloom.subjects._layout_subject import make_subject
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import check_ids, spelled, split_suffix

_OWN = ("image", "label")


def read_msd(
    path: str | os.PathLike[str], section: str = "training", *, verify_paths: bool = True
) -> list[Subject]:
    """Return the subjects of one section of an MSD ``dataset.json``. See `from_msd`.

    Without `verify_paths`, a file that is not there is an error when it is read.
    """
    content, file = read_json(path)
    folder = file.parent
    entries = content.get(section)
    if not isinstance(entries, list) or not entries:
        lists = [name for name, value in content.items() if isinstance(value, list) and value]
        raise LayoutError(f"{file} lists no subjects under {section!r}; it has lists under {lists}")
    channels = tuple(names_by_number(content, "modality", "channel_names").values())
    subjects = [
        _subject(entry, folder, channels, f"{file}: {section}[{number}]", verify_paths)
        for number, entry in enumerate(entries)
    ]
    check_ids((subject["subject_id"] for subject in subjects), str(file))
    return subjects


def _subject(
    entry: Any, folder: Path, channels: tuple[str, ...], where: str, verify: bool
) -> Subject:
    fields = {"image": entry} if isinstance(entry, str | list) else entry
    if not isinstance(fields, dict) or "image" not in fields:
        raise LayoutError(f"{where}: expected a path or an object with 'image', got {entry!r}")
    files = existing_files(fields["image"], folder, f"{where}, image", verify=verify)
    metadata: dict[str, Any] = {"channel_names": channels} if channels else {}
    items: dict[str, Any] = {"image": ScalarImage(files, verify_path=verify, **metadata)}
    label = fields.get("label")
    if _is_class(label):
        items["label"] = label
    elif label:
        labels = existing_files(label, folder, f"{where}, label", verify=verify)
        items["label"] = LabelMap(labels, verify_path=verify)
    more = {name: value for name, value in fields.items() if name not in _OWN}
    return make_subject({"subject_id": _id_of(files), **more, **items}, where)


def _is_class(label: Any) -> bool:
    """Return whether a label is of the whole volume, as MONAI's lists for classification have."""
    numbers = label if isinstance(label, list) and label else [label]
    return all(isinstance(number, int | float) for number in numbers)


def _id_of(files: Path | list[Path]) -> str:
    first = files if isinstance(files, Path) else files[0]
    stem = spelled(split_suffix(first.name)[0])
    return stem if isinstance(files, Path) else stem.removesuffix("_0000")
