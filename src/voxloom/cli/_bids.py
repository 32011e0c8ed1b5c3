"""What of a BIDS folder can be read without a question: images that a session has once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloom.subjects._layout_bids import DESCRIPTION, bids_files

_SUFFIXES: Final = (".nii", ".nii.gz")


@dataclass(frozen=True, slots=True)
class FoundBids:
    """What is taken of a BIDS folder.

    Attributes
    ----------
    images : tuple of str
        BIDS suffixes, such as ``'T1w'``; each image is called by its own.
    derivatives : tuple of Path
        Folders in ``derivatives`` that are looked into as well.
    left_out : tuple of str
        What is not taken, and why, in words.
    """

    images: tuple[str, ...]
    derivatives: tuple[Path, ...]
    left_out: tuple[str, ...]


def is_bids(folder: Path) -> bool:
    """Return whether a folder says that it is a BIDS data set."""
    return (folder / DESCRIPTION).is_file()


def find_bids(root: Path) -> FoundBids:
    """Return the images that can be told apart by their suffix alone, raw ones first.

    A derivative is taken where it has none of the suffixes that are there already: else it
    would not be known which is meant.
    """
    once, several = _suffixes_of(root)
    left_out = [f"{suffix}, of which a session has several" for suffix in several]
    derivatives = []
    for folder in sorted(one for one in root.glob("derivatives/*") if is_bids(one)):
        more, too_many = _suffixes_of(folder)
        if {*more, *too_many} & {*once, *several} or not more:
            left_out.append(f"derivatives/{folder.name}")
            continue
        derivatives.append(folder)
        once += more
    return FoundBids(tuple(once), tuple(derivatives), tuple(left_out))


def _suffixes_of(root: Path) -> tuple[list[str], list[str]]:
    """Return the suffixes that each session has at most once, and the others."""
    counts = Counter(
        (visit, name.suffix)
        for visit, _, name, _ in bids_files(root)
        if name.extension in _SUFFIXES and name.suffix.isidentifier()
    )
    several = {suffix for (_, suffix), count in counts.items() if count > 1}
    return sorted({suffix for _, suffix in counts} - several), sorted(several)
