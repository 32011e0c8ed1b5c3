"""Files of volumes as they lie on real disks: suffixes in any case, accents in two spellings."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from voxloom._errors import LayoutError
from voxloom.io import known_suffixes

Missing = Literal["raise", "skip", "omit"]
"""What becomes of a subject that lacks a file: an error, left out, or without that image."""


def split_suffix(name: str) -> tuple[str, str]:
    """Return the name of a file without its suffix, and the suffix in lower case.

    The suffix is the longest one that a reader is known for, or what follows the last dot.

    Examples
    --------
    >>> split_suffix("case.01.NII.GZ"), split_suffix("README")
    (('case.01', '.nii.gz'), ('README', ''))
    """
    lower = name.lower()
    for suffix in known_suffixes():
        if lower.endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)], suffix
    stem, _, last = name.rpartition(".")
    return (stem, f".{last.lower()}") if stem else (name, "")


def spelled(name: str) -> str:
    """Return text in the one spelling (NFC) that two systems would compare as equal.

    Examples
    --------
    >>> spelled("e" + chr(0x301)) == chr(0xE9)
    True
    """
    return unicodedata.normalize("NFC", name)


def same_file_name(one: str, other: str) -> bool:
    """Whether two names differ in nothing but the case of the suffix and the spelling."""
    ours, theirs = split_suffix(one), split_suffix(other)
    return ours[1] == theirs[1] and spelled(ours[0]) == spelled(theirs[0])


def find_file(path: str | os.PathLike[str]) -> Path | None:
    """Return the file at `path`, or one whose suffix or accents are written otherwise.

    Symbolic links are followed when the file is read, not here: the name stays that of the
    link. One that leads nowhere is no file.
    """
    wanted = Path(path)
    if wanted.exists():
        return wanted
    try:
        siblings = sorted(wanted.parent.iterdir())
    except OSError:
        return None
    alike = (file for file in siblings if same_file_name(file.name, wanted.name))
    return next((file for file in alike if file.exists()), None)


def explain_lost(path: Path) -> str:
    """Return the path of a file that is not there, and what is there instead if it is a link.

    Examples
    --------
    >>> explain_lost(Path("t1.nii"))
    't1.nii'
    """
    if not path.is_symlink():
        return str(path)
    return (
        f"{path} (a symbolic link to '{path.readlink()}', where nothing is: fetch the file, as "
        "with datalad get, or mend the link)"
    )


def volumes_in(folder: Path) -> list[Path]:
    """Return the files of a folder that a reader is known for, sorted, hidden ones left out.

    Raises
    ------
    LayoutError
        If there is no such folder.
    """
    if not folder.is_dir():
        raise LayoutError(f"expected a folder of volumes at {folder}, there is none")
    suffixes = set(known_suffixes())
    found = (file for file in folder.iterdir() if not file.name.startswith("."))
    return sorted(file for file in found if split_suffix(file.name)[1] in suffixes)


def parse_missing(value: str) -> Missing:
    """Return `value` if it says what becomes of subjects that lack a file.

    Raises
    ------
    LayoutError
        If it does not.
    """
    for known in get_args(Missing):
        if value == known:
            choice: Missing = known
            return choice
    raise LayoutError(f"missing is one of {get_args(Missing)}, got {value!r}")


def check_ids(ids: Iterable[str], where: str) -> None:
    """Raise LayoutError if an id is there twice."""
    seen: set[str] = set()
    for one in ids:
        if one in seen:
            raise LayoutError(
                f"{where}: the subject id {one!r} is there twice; ids must be unique, because "
                "splits and random patches are made from them"
            )
        seen.add(one)


def listed(names: Iterable[object], most: int = 5) -> str:
    """Return the first few names as text, and how many more there are.

    Examples
    --------
    >>> listed([1, 2, 3], most=2)
    '1, 2 and 1 more'
    """
    every = [str(name) for name in names]
    shown, rest = ", ".join(every[:most]), len(every) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
