"""The `dataset.json` of a challenge: read, and its parts checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._volume_files import explain_lost, find_file, listed, split_suffix


def read_json(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Path]:
    """Return the object in ``dataset.json``, and that file; `path` may be its folder.

    Raises
    ------
    VolumeNotFoundError
        If there is no such file.
    LayoutError
        If it does not hold a JSON object.
    """
    file = Path(path).expanduser()
    file = file / "dataset.json" if file.is_dir() else file
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise VolumeNotFoundError(
            f"expected the description of a data set at {file}, there is no such file; give the "
            "path of its dataset.json, or of the folder that holds it"
        ) from error
    except UnicodeDecodeError as error:
        raise LayoutError(f"{file} is not in UTF-8: {error}; save it so") from error
    try:
        content = json.loads(text)
    except ValueError as error:
        raise LayoutError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise LayoutError(f"{file} should hold a JSON object, it holds {type(content).__name__}")
    return content, file


def names_by_number(content: Mapping[str, Any], *keys: str) -> dict[str, str]:
    """Return channel names by number as text, from the first of `keys` that is there."""
    key = next((key for key in keys if content.get(key)), keys[0])
    found: Any = content.get(key) or {}
    if isinstance(found, list):
        found = dict(enumerate(found))
    if not isinstance(found, dict) or not all(str(number).isdecimal() for number in found):
        raise LayoutError(
            f'dataset.json: {key!r} gives names by number, as {{"0": "CT"}}, got {found!r}'
        )
    return {str(number): str(name) for number, name in found.items()}


def declared_labels(content: Mapping[str, Any]) -> frozenset[int] | None:
    """Return the labels that a description declares, or None where it declares none by number.

    Examples
    --------
    >>> sorted(declared_labels({"labels": {"0": "background", "1": "liver"}}))
    [0, 1]
    >>> sorted(declared_labels({"labels": {"background": 0, "whole": [1, 2], "ignore": 3}}))
    [0, 1, 2, 3]
    """
    labels = content.get("labels")
    if not isinstance(labels, dict) or not labels:
        return None
    found: list[Any] = []
    for key, value in labels.items():
        numbers = key if isinstance(value, str) else value
        found += numbers if isinstance(numbers, list) else [numbers]
    try:
        return frozenset(map(int, found))
    except (TypeError, ValueError):
        return None


def existing_files(
    paths: Any, folder: Path, what: str, *, verify: bool = True
) -> Path | list[Path]:
    """Return the file, or files, that a description names, relative to its folder.

    Without `verify` one that is not there is given as it is named, unless nnU-Net's is.

    Raises
    ------
    LayoutError
        If it is neither text nor a list of text.
    VolumeNotFoundError
        If one is not there; `what` says for which subject.
    """
    several = [paths] if isinstance(paths, str) else paths
    if not isinstance(several, list) or not all(isinstance(path, str) for path in several):
        raise LayoutError(f"{what}: expected a path or a list of paths, got {paths!r}")
    if not several:
        raise LayoutError(f"{what}: the list of paths is empty")
    # a description that was written on Windows may have backslashes
    found = {path: find_file(folder / path) or find_file(folder / path.replace("\\", "/"))
             for path in several}  # fmt: skip
    lost = [folder / path for path, file in found.items() if file is None]
    hint = _hint(lost[0]) if lost else ""
    if lost and (verify or hint):
        names = listed(map(explain_lost, lost))
        raise VolumeNotFoundError(f"{what}: there is no file {names}{hint}")
    files = [file or folder / path for path, file in found.items()]
    return files[0] if len(files) == 1 else files


def _hint(lost: Path) -> str:
    stem, suffix = split_suffix(lost.name)
    numbered = lost.with_name(f"{stem}_0000{suffix}")
    if not numbered.exists():
        return ""
    return f"; there is {numbered.name}, as nnU-Net has it: read it so (from_nnunet, --nnunet)"
