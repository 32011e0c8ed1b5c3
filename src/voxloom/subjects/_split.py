"""Splitting subjects into parts that do not depend on the order of a table."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from voxloom._errors import SplitError
from voxloom._random import Stream

ID = "subject_id"


def split_indices(
    subjects: Sequence[Mapping[str, Any]],
    shares: Sequence[float],
    seed: int = 0,
    group: str | None = None,
    stratify: str | None = None,
) -> list[list[int]]:
    """Return for each part the numbers of its subjects, ascending.

    Which part a subject goes to follows from the seed, the ids (or groups) and the values
    of `stratify`, and not from the order of the subjects.

    Parameters
    ----------
    subjects : sequence of mappings
        Each with a unique ``'subject_id'``.
    shares : sequence of float
        How large the parts are, relative to each other.
    seed : int
        Another seed gives another split.
    group : str, optional
        Subjects with the same value of this item stay together.
    stratify : str, optional
        Each part gets its share of each value of this item. A group counts for the value
        that most of its subjects have.

    Raises
    ------
    SplitError
        A ValueError, if an item is missing, ids are not unique, or a part stays empty.

    Examples
    --------
    >>> people = [{"subject_id": n, "sex": "fm"[n % 2]} for n in range(10)]
    >>> [len(part) for part in split_indices(people, [0.8, 0.2], stratify="sex")]
    [8, 2]
    """
    weights = _checked_shares(shares)
    units = _units(subjects, group)
    strata: dict[str, list[str]] = defaultdict(list)
    for unit, members in units.items():
        strata[_stratum(subjects, members, stratify)].append(unit)
    words = {unit: int(Stream(seed, "split", unit).words(1)[0]) for unit in units}
    parts: list[list[int]] = [[] for _ in weights]
    for stratum in sorted(strata):
        ordered = sorted(strata[stratum], key=lambda unit: (-len(units[unit]), words[unit], unit))
        _deal([units[unit] for unit in ordered], weights, parts)
    if not all(parts):
        sizes = [len(part) for part in parts]
        raise SplitError(
            f"{len(units)} {'groups' if group else 'subjects'} do not fill {len(parts)} parts: "
            f"their sizes would be {sizes}; ask for fewer or larger parts"
        )
    return [sorted(part) for part in parts]


def _deal(units: list[list[int]], weights: list[float], parts: list[list[int]]) -> None:
    """Give each unit to the part that lacks most of its stratum; fractions are of the whole.

    What is left of a stratum when no part lacks a whole unit goes to the part that lacks most
    of all that was dealt: many small strata would else all be rounded the same way.
    """
    total = sum(map(len, units))
    given = [0] * len(parts)
    for members in units:
        size = len(members)
        whole = sum(map(len, parts)) + size
        urgency = [
            (
                _rank(round(weight * total - have, 9), size),
                round(weight * whole - len(part), 9),
                -place,
            )
            for place, (weight, have, part) in enumerate(zip(weights, given, parts, strict=True))
        ]
        place = -max(urgency)[2]
        given[place] += size
        parts[place].extend(members)


def _rank(lack: float, size: int) -> float:
    """Order parts that lack whole units by how many, before any fraction, before nothing."""
    return lack if lack >= size else 0.0 if lack > 0 else -1.0


def _units(subjects: Sequence[Mapping[str, Any]], group: str | None) -> dict[str, list[int]]:
    seen = Counter(str(_item(subject, ID, "split by subject")) for subject in subjects)
    twice = sorted(name for name, count in seen.items() if count > 1)
    if twice:
        raise SplitError(
            f"subject_id {twice[0]!r} is there {seen[twice[0]]} times; ids must be unique, else "
            "one person could be in two parts: use group='subject' for several visits"
        )
    units: dict[str, list[int]] = defaultdict(list)
    for number, subject in enumerate(subjects):
        key = _item(subject, ID if group is None else group, "group by")
        units[str(key)].append(number)
    return units


def _stratum(
    subjects: Sequence[Mapping[str, Any]], members: list[int], stratify: str | None
) -> str:
    if stratify is None:
        return ""
    values = Counter(repr(_item(subjects[number], stratify, "stratify by")) for number in members)
    return min(values, key=lambda value: (-values[value], value))


def _item(subject: Mapping[str, Any], name: str, what: str) -> Any:
    if name not in subject:
        raise SplitError(
            f"to {what} {name!r}, every subject has it; one has only {sorted(subject)}: add it "
            f"with subject.replace({name}=...)"
        )
    return subject[name]


def _checked_shares(shares: Sequence[float]) -> list[float]:
    numbers = [float(share) for share in shares]
    if len(numbers) < 2 or not all(0 < share < math.inf for share in numbers):
        raise SplitError(
            f"a data set is split into two parts or more, each with a positive share such as "
            f"[0.8, 0.2], got {list(shares)}"
        )
    return [share / sum(numbers) for share in numbers]
