"""Data sets in the raw layout of nnU-Net, version 2 (Isensee et al., 2021)."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._image import LabelMap, ScalarImage
from voxloom.subjects._layout_json import existing_files, names_by_number, read_json
from voxloom.subjects._layout_nnunet_prepared import (
    check_not_prepared,
    is_prepared_by_nnunet,
    read_nnunet_prepared,
)
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import (
    explain_lost,
    listed,
    spelled,
    split_suffix,
    volumes_in,
)

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")


def read_nnunet(
    path: str | os.PathLike[str], section: str = "Tr", *, verify_paths: bool = True
) -> list[Subject]:
    """Return the subjects of one section of a raw nnU-Net folder. See `from_nnunet`.

    Without `verify_paths`, a raw file that is not there is an error when it is read.
    """
    if section not in ("Tr", "Ts"):
        raise LayoutError(f"section is 'Tr' (training) or 'Ts' (test), got {section!r}")
    if is_prepared_by_nnunet(Path(path).expanduser()):
        if section != "Tr":
            raise LayoutError(
                f"'{path}' is what nnU-Net prepared, which has the training cases only; give the "
                f"raw folder for section={section!r}"
            )
        return read_nnunet_prepared(Path(path).expanduser())
    check_not_prepared(Path(path).expanduser())
    content, file = read_json(path)
    folder = file.parent
    names = names_by_number(content, "channel_names", "modality")
    if not names:
        raise LayoutError(
            f"{file} has no 'channel_names', so that the number of channels is unknown"
        )
    if section == "Tr" and content.get("dataset"):
        cases = _named_cases(content["dataset"], file, names, verify_paths)
    else:
        ending = str(content.get("file_ending", "")).lower().lstrip(".")
        cases = _found_cases(folder, section, names, ending and f".{ending}", verify_paths)
    channel_names = tuple(names.values())
    return [
        _subject(case, files, channel_names, verify_paths) for case, files in sorted(cases.items())
    ]


def _subject(
    case: str, files: dict[str, Any], channel_names: tuple[str, ...], verify: bool
) -> Subject:
    image = ScalarImage(files["image"], verify_path=verify, channel_names=channel_names)
    items: dict[str, Any] = {"subject_id": case, "image": image}
    if files["label"] is not None:
        items["label"] = LabelMap(files["label"], verify_path=verify)
    return Subject(items)


def _named_cases(
    entries: Any, file: Path, names: dict[str, str], verify: bool
) -> dict[str, dict[str, Any]]:
    if not isinstance(entries, dict):
        raise LayoutError(f"{file}: 'dataset' is an object of cases by name, got {entries!r}")
    cases = {}
    for case, entry in entries.items():
        if not isinstance(entry, dict) or not {"images", "label"} <= entry.keys():
            raise LayoutError(
                f"{file}, case {case!r}: expected an object with 'images', a "
                f"list of {len(names)} paths, and 'label', a path; got {entry!r}"
            )
        where = f"case {case!r}"
        images = existing_files(entry["images"], file.parent, f"{where}, images", verify=verify)
        count = len(images) if isinstance(images, list) else 1
        if count != len(names):
            raise LayoutError(f"{file}, case {case!r}: {count} files for the channels {names}")
        label = existing_files(entry["label"], file.parent, f"{where}, label", verify=verify)
        cases[spelled(case)] = {"image": images, "label": label}
    return cases


def _found_cases(
    folder: Path, section: str, names: dict[str, str], ending: str, verify: bool
) -> dict[str, dict[str, Any]]:
    images, numbers = folder / f"images{section}", [f"{int(number):04d}" for number in names]
    channels = _channels_by_case(images, ending, verify)
    labels = _labels_by_case(folder / f"labels{section}", ending, verify, needed=section == "Tr")
    if section == "Tr" and not verify:
        _add_expected(channels, labels, numbers, folder, ending)
    if section == "Tr" and (lost := sorted(channels.keys() - labels.keys())):
        raise VolumeNotFoundError(
            f"{len(lost)} of {len(channels)} cases in {images} have no label map: expected "
            f"{listed(folder / 'labelsTr' / f'{case}{ending}' for case in lost)}"
        )
    cases = {}
    for case, files in channels.items():
        if sorted(files) != sorted(numbers):
            raise LayoutError(
                f"case {case!r} in {images} has channels {sorted(files)}, dataset.json names "
                f"{sorted(numbers)}: {names}"
            )
        ordered = [files[number] for number in numbers]
        image = ordered[0] if len(ordered) == 1 else ordered
        cases[case] = {"image": image, "label": labels.get(case)}
    return cases


def _add_expected(
    channels: dict[str, dict[str, Path]],
    labels: dict[str, Path],
    numbers: list[str],
    folder: Path,
    ending: str,
) -> None:
    """Add where the files of a case should lie of which only others are there."""
    some = next(iter(next(iter(channels.values())).values()))
    suffix = ending or split_suffix(some.name)[1]
    for case in {*channels, *labels}:
        labels.setdefault(case, folder / "labelsTr" / f"{case}{suffix}")
        files = channels.setdefault(case, {})
        for number in numbers:
            files.setdefault(number, folder / "imagesTr" / f"{case}_{number}{suffix}")


def _channels_by_case(images: Path, ending: str, verify: bool) -> dict[str, dict[str, Path]]:
    cases: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in _volumes(images, ending, verify):
        stem = spelled(split_suffix(file.name)[0])
        match = _CHANNEL.fullmatch(stem)
        if match is None:
            raise LayoutError(
                f"{file}: expected a name such as {stem}_0000{ending}: the case, then the number "
                "of the channel with four digits"
            )
        _keep(cases[match["case"]], match["channel"], file)
    if not cases:
        others = sorted({split_suffix(file.name)[1] for file in volumes_in(images)})
        raise LayoutError(
            f"there are no volumes{f' {ending!r}' if ending else ''} in {images}"
            + (f"; there are {others}: correct 'file_ending' in dataset.json" if others else "")
        )
    return cases


def _labels_by_case(labels: Path, ending: str, verify: bool, *, needed: bool) -> dict[str, Path]:
    if not needed and not labels.is_dir():
        return {}
    found: dict[str, Path] = {}
    for file in _volumes(labels, ending, verify):
        _keep(found, spelled(split_suffix(file.name)[0]), file)
    return found


def _keep(files: dict[str, Path], name: str, file: Path) -> None:
    if name in files:
        raise LayoutError(
            f"{files[name]} and {file} are one volume by their names; remove one of them"
        )
    files[name] = file


def _volumes(folder: Path, ending: str, verify: bool) -> list[Path]:
    found = volumes_in(folder)
    files = [file for file in found if not ending or split_suffix(file.name)[1] == ending]
    lost = [file for file in files if not file.exists()]
    if lost and verify:
        raise VolumeNotFoundError(
            f"{len(lost)} of {len(files)} volumes in {folder} are not there: "
            f"{listed(map(explain_lost, lost), 2)}"
        )
    return files
