"""The `dataset.json` of a challenge: read, and its parts checked."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._volume_files import find_file, listed


def read_json(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Path]:
    """Return the object in ``dataset.json``, and its folder; `path` may be that folder.

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
    try:
        content = json.loads(text)
    except ValueError as error:
        raise LayoutError(f"{file} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise LayoutError(f"{file} should hold a JSON object, it holds {type(content).__name__}")
    return content, file.parent


def names_by_number(content: Mapping[str, Any], *keys: str) -> dict[str, str]:
    """Return channel names by number as text, from the first of `keys` that is there."""
    found: Any = next((content[key] for key in keys if content.get(key)), {})
    if isinstance(found, list):
        found = dict(enumerate(found))
    return {str(number): str(name) for number, name in found.items()}


def existing_files(paths: Any, folder: Path, what: str) -> Path | list[Path]:
    """Return the file, or files, that a description names, relative to its folder.

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
    found = {path: find_file(folder / path) for path in several}
    files = [file for file in found.values() if file is not None]
    if len(files) < len(found):
        lost = [folder / path for path, file in found.items() if file is None]
        raise VolumeNotFoundError(f"{what}: there is no file {listed(lost)}")
    return files[0] if len(files) == 1 else files
