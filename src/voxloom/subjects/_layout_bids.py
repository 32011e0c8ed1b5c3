"""Data sets in the Brain Imaging Data Structure (Gorgolewski et al., 2016), raw or derived.

The rules are those of pybids (Yarkoni et al., 2019) for what a training needs: entities in
names, sessions, datatypes, derivatives with a description of their own, `participants.tsv`,
and sidecars that inherit from the folders above.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.subjects._bids_names import BidsName, BidsQuery
from voxloom.subjects._cells import parse_cell
from voxloom.subjects._image import Image, LabelMap, ScalarImage
from voxloom.subjects._layout_subject import make_subject
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import explain_lost, listed, parse_missing, spelled

DESCRIPTION: Final = "dataset_description.json"
_PARTICIPANTS: Final = "participants.tsv"

Visit = tuple[str, str | None]
"""A subject and a session, without ``sub-`` and ``ses-``."""

Files = dict[Visit, dict[str, tuple[Path, Path]]]
"""For each visit and image the file, and the root that it was found in."""


def read_bids(
    root: str | os.PathLike[str],
    queries: Mapping[str, Any],
    labels: Collection[str] = (),
    *,
    derivatives: Sequence[str | os.PathLike[str]] = (),
    missing: str = "raise",
    sidecars: bool = False,
) -> list[Subject]:
    """Return a subject for each session of each participant. See `from_bids`."""
    choice = parse_missing(missing)
    top = Path(root).expanduser()
    roots = [_checked_root(top), *(_checked_root(_derived(top, one)) for one in derivatives)]
    wanted = {name: BidsQuery.of(value, name) for name, value in queries.items()}
    if not wanted or isinstance(labels, str) or set(labels) - wanted.keys():
        raise LayoutError(
            f"say which images to take, e.g. t1='T1w', and among them the labels; got images "
            f"{sorted(wanted)} and labels {labels!r}"
        )
    visits = _visits(roots, wanted)
    if choice == "raise":
        _check_complete(visits, wanted, roots)
    # a link that leads nowhere, as DataLad leaves of what it has not fetched, is no file
    visits = {
        visit: {name: found for name, found in files.items() if found[0].exists()}
        for visit, files in visits.items()
    }
    participants = _participants(top)
    subjects = []
    for visit, files in sorted(visits.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        if not files or (choice == "skip" and len(files) < len(wanted)):
            continue
        images = {
            name: _image(name in labels, path, top=base, sidecars=sidecars)
            for name, (path, base) in files.items()
        }
        items = {**_metadata(visit, participants), **images}
        subjects.append(make_subject(items, f"{top / _PARTICIPANTS}, {_id_of(visit)}"))
    if not subjects:
        raise VolumeNotFoundError(
            f"no participant in {top} has the files asked for: {queries}; {_suffixes(roots)}"
        )
    return subjects


def _checked_root(root: Path) -> Path:
    if not root.is_dir():
        raise VolumeNotFoundError(f"there is no BIDS folder {str(root)!r}; check the path")
    if not (root / DESCRIPTION).is_file():
        raise LayoutError(
            f"{root} has no {DESCRIPTION}, which every BIDS data set and every derivative has; "
            "give the folder that holds it"
        )
    return root


def _derived(top: Path, derivative: str | os.PathLike[str]) -> Path:
    named, other = top / "derivatives" / derivative, Path(derivative).expanduser()
    if not named.is_dir() and not other.is_dir():
        known = sorted(folder.name for folder in (top / "derivatives").glob("*"))
        raise VolumeNotFoundError(
            f"there is no folder {named}, nor {other}; {top / 'derivatives'} has {known}"
        )
    return named if named.is_dir() else other


def _visits(roots: list[Path], wanted: Mapping[str, BidsQuery]) -> Files:
    visits: Files = defaultdict(dict)
    for root in roots:
        for visit, path, name, datatype in bids_files(root):
            images = visits[visit]
            for image, query in wanted.items():
                if not query.accepts(name, datatype):
                    continue
                if image in images:
                    raise LayoutError(_explain_several(image, images[image][0], path, visit))
                images[image] = (path, root)
    return visits


def bids_files(root: Path) -> Iterator[tuple[Visit, Path, BidsName, str]]:
    """Yield the volumes of a root: whose each is, its path, its name and its datatype."""
    for participant in sorted(folder for folder in root.glob("sub-*") if folder.is_dir()):
        sessions = sorted(folder for folder in participant.glob("ses-*") if folder.is_dir())
        for folder in sessions or [participant]:
            session = spelled(folder.name).removeprefix("ses-") if sessions else None
            visit = (spelled(participant.name).removeprefix("sub-"), session)
            for path in sorted([*folder.glob("*"), *folder.glob("*/*")]):
                name = BidsName.parse(path.name)
                if name and name.entities.get("sub") == visit[0] and _is_volume(path):
                    yield visit, path, name, "" if path.parent == folder else path.parent.name


def _is_volume(path: Path) -> bool:
    return not path.name.lower().endswith((".json", ".tsv", ".bval", ".bvec"))


def _explain_several(image: str, one: Path, other: Path, visit: Visit) -> str:
    ours, theirs = BidsName.parse(one.name), BidsName.parse(other.name)
    differ = ""
    if ours and theirs:
        keys = {*ours.entities, *theirs.entities}
        apart = sorted(k for k in keys if ours.entities.get(k) != theirs.entities.get(k))
        apart += [k for k in ("suffix", "extension") if getattr(ours, k) != getattr(theirs, k)]
        differ = f" They differ in {apart}." if apart else ""
    return (
        f"several files of {_id_of(visit)} could be {image!r}: {one} and {other}.{differ} Say "
        f"more, e.g. {image}={{'suffix': ..., 'run': 1}}; None stands for a name without that "
        "entity"
    )


def _suffixes(roots: list[Path]) -> str:
    found = {name.suffix for root in roots for _, _, name, _ in bids_files(root)}
    return f"its volumes have the suffixes {listed(sorted(found), 12) or 'of none'}"


def _check_complete(visits: Files, wanted: Mapping[str, BidsQuery], roots: list[Path]) -> None:
    lost = [
        f"{_id_of(visit)} has no {image!r} "
        f"({explain_lost(files[image][0]) if image in files else dict(wanted[image].wanted)})"
        for visit, files in sorted(visits.items(), key=str)
        for image in wanted
        if image not in files or not files[image][0].exists()
    ]
    if lost:
        raise VolumeNotFoundError(
            f"{roots[0]}: {listed(lost)}; {_suffixes(roots)}; give missing='skip' to leave such "
            "sessions out, or missing='omit' to take them without that image"
        )


def _participants(top: Path) -> dict[Visit, dict[str, Any]]:
    table = top / _PARTICIPANTS
    if not table.is_file():
        return {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise LayoutError(f"{table} is not a table in UTF-8: {error}") from error
    if rows and "participant_id" not in rows[0]:
        raise LayoutError(f"{table} has no column 'participant_id'; it has {list(rows[0])}")
    found: dict[Visit, dict[str, Any]] = {}
    subjects = [_label(row["participant_id"], "sub-") for row in rows]
    count = Counter(subjects)
    for subject, row in zip(subjects, rows, strict=True):
        has_rows_of_sessions = count[subject] > 1 and row.get("session_id")
        session = _label(row["session_id"], "ses-") if has_rows_of_sessions else None
        if (subject, session) in found:
            raise LayoutError(
                f"{table} has several rows for participant {subject!r}; give each a session_id of "
                "its own, or leave one"
            )
        found[subject, session] = {
            name: parse_cell(value or "")
            for name, value in row.items()
            if name not in (None, "participant_id")
        }
    return found


def _label(cell: str | None, prefix: str) -> str:
    return spelled(cell or "").removeprefix(prefix)


def _metadata(visit: Visit, participants: Mapping[Visit, Mapping[str, Any]]) -> dict[str, Any]:
    subject, session = visit
    known = dict(participants.get(visit, participants.get((subject, None), {})))
    places = {"subject": subject} if session is None else {"subject": subject, "session": session}
    return {**known, **places, "subject_id": _id_of(visit)}


def _id_of(visit: Visit) -> str:
    subject, session = visit
    return f"sub-{subject}" if session is None else f"sub-{subject}_ses-{session}"


def _image(is_label: bool, path: Path, *, top: Path, sidecars: bool) -> Image:
    metadata: dict[str, Any] = {"sidecar": read_sidecar(path, top)} if sidecars else {}
    return (LabelMap if is_label else ScalarImage)(path, **metadata)


def read_sidecar(path: Path, root: Path) -> dict[str, Any]:
    """Return what the JSON files from `root` down to the folder of `path` say about it.

    A JSON file speaks of all files below its folder that have its suffix and all its
    entities; the nearer one, or the one with more entities, has the last word.
    """
    name = BidsName.parse(path.name)
    content: dict[str, Any] = {}
    for folder in (root / part for part in reversed(path.relative_to(root).parents)):
        found = []
        for file in folder.glob("*.json"):
            other = BidsName.parse(file.name)
            if name and other and other.suffix == name.suffix and (
                other.entities.items() <= name.entities.items()
            ):  # fmt: skip
                found.append((len(other.entities), file))
        for _, file in sorted(found):
            try:
                content |= json.loads(file.read_text(encoding="utf-8-sig"))
            except (ValueError, TypeError) as error:
                raise LayoutError(f"{file} does not hold a JSON object: {error}") from error
    return content
