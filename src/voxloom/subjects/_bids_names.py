"""Names of files in BIDS: entities, a suffix and an extension."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from voxloom._errors import LayoutError
from voxloom.subjects._volume_files import spelled

ENTITIES: Final = {
    "sub": "subject", "ses": "session", "sample": "sample", "task": "task", "tracksys": "tracksys",
    "acq": "acquisition", "ce": "ceagent", "trc": "tracer", "stain": "staining",
    "rec": "reconstruction", "dir": "direction", "run": "run", "mod": "modality", "echo": "echo",
    "flip": "flip", "inv": "inversion", "mt": "mt", "part": "part", "proc": "proc",
    "hemi": "hemisphere", "space": "space", "split": "split", "recording": "recording",
    "chunk": "chunk", "seg": "segmentation", "res": "resolution", "den": "density",
    "label": "label", "desc": "description",
}  # fmt: skip
"""Keys of entities as they stand in names, and their long names."""

_SHORT: Final = {long: short for short, long in ENTITIES.items()}
_OTHER: Final = ("suffix", "extension", "datatype")
_PAIR: Final = re.compile(r"([A-Za-z]+)-([^-]+)")  # BIDS has [A-Za-z0-9+], people have more


@dataclass(frozen=True, slots=True)
class BidsName:
    """The name of a file, taken apart.

    Examples
    --------
    >>> name = BidsName.parse("sub-01_ses-2_run-01_T1w.nii.gz")
    >>> name.entities, name.suffix, name.extension
    ({'sub': '01', 'ses': '2', 'run': '01'}, 'T1w', '.nii.gz')
    """

    entities: Mapping[str, str]
    suffix: str
    extension: str

    @classmethod
    def parse(cls, name: str) -> Self | None:
        """Return the parts of a name, or None if BIDS does not name files so."""
        stem, dot, extension = spelled(name).partition(".")
        *pairs, suffix = stem.split("_")
        found = [_PAIR.fullmatch(pair) for pair in pairs]
        entities = {match[1]: match[2] for match in found if match}
        if not suffix or "-" in suffix or len(entities) < len(pairs):
            return None
        return cls(entities, suffix, (dot + extension).lower())


@dataclass(frozen=True, slots=True)
class BidsQuery:
    """Which file of a subject is wanted: what its name must and must not have.

    Attributes
    ----------
    wanted : mapping
        Values by entity key, or by ``'suffix'``, ``'extension'``, ``'datatype'``. None says
        that the name has no such entity; a number is equal whatever zeros stand before it.
    """

    wanted: Mapping[str, Any]

    @classmethod
    def of(cls, value: Any, image: str) -> Self:
        """Return the query that a suffix, or a mapping, stands for.

        Raises
        ------
        LayoutError
            If it is something else, or names an entity that BIDS does not have.
        """
        given = {"suffix": value} if isinstance(value, str) else value
        if not isinstance(given, Mapping) or not given:
            raise LayoutError(
                f"say which file is {image!r} by its suffix, e.g. 'T1w', or by a mapping such as "
                f"{{'suffix': 'bold', 'task': 'rest'}}; got {value!r}"
            )
        wanted = {_SHORT.get(key, key): item for key, item in given.items()}
        unknown = sorted(wanted.keys() - ENTITIES.keys() - set(_OTHER))
        if unknown:
            raise LayoutError(
                f"{image!r}: BIDS has no entity {unknown}; it has {', '.join(ENTITIES)}"
            )
        return cls({"extension": (".nii", ".nii.gz"), **wanted})

    def accepts(self, name: BidsName, datatype: str) -> bool:
        """Whether a file with this name, in a folder of this datatype, is meant."""
        found = {
            **name.entities,
            "suffix": name.suffix,
            "extension": name.extension,
            "datatype": datatype,
        }
        return all(_is_one_of(found.get(key), value) for key, value in self.wanted.items())


def _is_one_of(found: str | None, wanted: Any) -> bool:
    if isinstance(wanted, tuple | list | set):
        return any(_is_one_of(found, one) for one in wanted)
    if wanted is None or found is None:
        return wanted is found
    if isinstance(wanted, int):
        return found.isdecimal() and int(found) == wanted
    return found == spelled(str(wanted))
