"""Files that follow a pattern, such as ``data/{subject}/t1.nii.gz``."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.io import known_suffixes
from voxloom.subjects._image import Image, LabelMap, ScalarImage
from voxloom.subjects._layout_subject import make_subject
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import (
    check_ids,
    explain_lost,
    listed,
    parse_missing,
    spelled,
    split_suffix,
)

Fields = tuple[tuple[str, str], ...]

_TOKEN = re.compile(r"\{(?P<field>[A-Za-z][A-Za-z0-9_]*)\}|(?P<any>\*)|(?P<one>\?)")


def read_glob(
    patterns: Mapping[str, str | os.PathLike[str]],
    labels: Collection[str] = (),
    missing: str = "raise",
) -> list[Subject]:
    """Return one subject for each value of the fields in the patterns. See `from_glob`."""
    choice = parse_missing(missing)
    texts = {name: os.fspath(pattern) for name, pattern in patterns.items()}
    _check_patterns(texts, labels)
    found = {name: match_files(pattern) for name, pattern in texts.items()}
    for name, files in found.items():
        if not files:
            raise VolumeNotFoundError(f"no file matches the pattern of {name!r}: {texts[name]}")
    keys = sorted({key for files in found.values() for key in files})
    # a link that leads nowhere, as DataLad leaves of what it has not fetched, is no file
    there = {name: {key: file for key, file in files.items() if file.exists()}
             for name, files in found.items()}  # fmt: skip
    complete = [key for key in keys if all(key in files for files in there.values())]
    if choice == "raise" and len(complete) < len(keys):
        raise VolumeNotFoundError(_explain_missing(found, keys, texts))
    some = [key for key in keys if any(key in files for files in there.values())]
    kept = complete if choice == "skip" else some
    if not kept:
        how_many, advice = ("all", "; see missing='omit'") if choice == "skip" else ("any", "")
        raise VolumeNotFoundError(f"no subject has {how_many} of {sorted(texts)}{advice}")
    subjects = [_subject(key, there, labels) for key in kept]
    check_ids((subject["subject_id"] for subject in subjects), listed(texts.values()))
    return subjects


def match_files(pattern: str) -> dict[Fields, Path]:
    """Return the files that match, by the values of the pattern's fields.

    ``{name}`` stands for one or more characters of a file or folder name, the same ones
    wherever it occurs; ``*`` and ``?`` for any characters or one; ``**`` for any folders. The
    case of a volume's suffix does not matter. Hidden files only match what begins with a dot.

    Raises
    ------
    LayoutError
        If two files have the same fields.
    """
    found: dict[Fields, Path] = {}
    anchor = Path(pattern).expanduser()
    start = Path(anchor.anchor) if anchor.is_absolute() else Path()
    segments = anchor.parts[1:] if anchor.is_absolute() else anchor.parts
    for file, fields in _descend(start, segments, {}):
        key = tuple(sorted(fields.items()))
        if key in found:
            raise LayoutError(
                f"{found[key]} and {file} both match {pattern} for {dict(key)}; make the pattern "
                "narrower, or give what differs a name in braces"
            )
        found[key] = file
    return found


def _descend(
    folder: Path, segments: tuple[str, ...], fields: dict[str, str]
) -> list[tuple[Path, dict[str, str]]]:
    if not segments:
        return [(folder, fields)]
    first, rest = segments[0], segments[1:]
    if first == "**":
        below = [inner for inner in _entries(folder) if inner.is_dir() and not inner.is_symlink()]
        found = _descend(folder, rest, fields)
        for inner in below:
            found += _descend(inner, segments, fields)
        return found
    if not _TOKEN.search(first) and rest:
        return _descend(folder / first, rest, fields) if (folder / first).is_dir() else []
    matches = []
    for entry in _entries(folder, hidden=first.startswith(".")):
        values = _match(first, entry.name, fields)
        if values is not None and (not rest or entry.is_dir()):
            matches += _descend(entry, rest, values)
    return matches


def _entries(folder: Path, *, hidden: bool = False) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [entry for entry in entries if hidden or not entry.name.startswith(".")]


def _match(segment: str, name: str, fields: dict[str, str]) -> dict[str, str] | None:
    pattern, stem = segment, name
    if split_suffix(segment)[1] in known_suffixes():
        (pattern, suffix), (stem, found) = split_suffix(segment), split_suffix(name)
        if suffix != found:
            return None
    matched = re.fullmatch(_expression(pattern, fields), spelled(stem))
    return None if matched is None else {**fields, **matched.groupdict()}


def _expression(pattern: str, known: Mapping[str, str]) -> str:
    parts, at, seen = [], 0, set[str]()
    for token in _TOKEN.finditer(pattern):
        parts.append(re.escape(spelled(pattern[at : token.start()])))
        at, field = token.end(), token["field"]
        if field in known:
            parts.append(re.escape(known[field]))
        elif field:
            parts.append(f"(?P={field})" if field in seen else f"(?P<{field}>.+?)")
            seen.add(field)
        else:
            parts.append(".*" if token["any"] else ".")
    return "".join([*parts, re.escape(spelled(pattern[at:]))])


def _check_patterns(patterns: Mapping[str, str], labels: Collection[str]) -> None:
    if not patterns:
        raise LayoutError("give a pattern for at least one image, e.g. t1='{subject}/t1.nii.gz'")
    unknown = sorted(set(labels) - patterns.keys())
    if isinstance(labels, str) or unknown:
        raise LayoutError(f"labels names images among {sorted(patterns)}, got {labels!r}")
    fields = {name: {token["field"] for token in _TOKEN.finditer(pattern)} - {None}
              for name, pattern in patterns.items()}  # fmt: skip
    first = next(iter(fields.values()))
    for found in fields.values():
        if not found or found != first:
            raise LayoutError(
                "every pattern has the same fields in braces, as {subject}, so that images find "
                "their subject; "
                + ", ".join(f"{name!r} has {sorted(one) or 'none'}" for name, one in fields.items())
            )


def _explain_missing(
    found: Mapping[str, Mapping[Fields, Path]], keys: list[Fields], patterns: Mapping[str, str]
) -> str:
    lines = [
        f"{_id_of(key)!r} has no {name!r}, expected at "
        + (explain_lost(files[key]) if key in files else _TOKEN.sub(_filled(key), patterns[name]))
        for key in keys
        for name, files in found.items()
        if key not in files or not files[key].exists()
    ]
    return (
        f"{listed(lines)}; add the files, or give missing='skip' to leave such subjects out, or "
        "missing='omit' to take them without that image"
    )


def _filled(key: Fields) -> Any:
    values = dict(key)
    return lambda token: values[token["field"]] if token["field"] else token[0]


def _subject(
    key: Fields, found: Mapping[str, Mapping[Fields, Path]], labels: Collection[str]
) -> Subject:
    kinds: dict[bool, type[Image]] = {True: LabelMap, False: ScalarImage}
    images = {
        name: kinds[name in labels](files[key]) for name, files in found.items() if key in files
    }
    items = {"subject_id": _id_of(key), **dict(key), **images}
    return make_subject(items, f"the pattern's fields {dict(key)}")


def _id_of(key: Fields) -> str:
    values = dict(key)
    main = values.pop("subject", None)
    return "_".join([*([] if main is None else [main]), *values.values()])
