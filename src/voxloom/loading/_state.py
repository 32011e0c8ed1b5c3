"""The state of a queue: a few hundred bytes of JSON, and the checks when it is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from voxloom._errors import StateError
from voxloom.loading._plan import PlanOptions
from voxloom.subjects import Image, Subject

VERSION: Final = 1
GENERATOR: Final = "generator"
DEALT: Final = "dealt"


def fingerprint(
    subjects: Sequence[Subject | None], counts: Sequence[int], shares: Sequence[float] = ()
) -> str:
    """Return a hash of which subjects there are: their items, file names and counts.

    `shares` say how likely each is drawn, where they are drawn. Folders do not count, so a run
    can go on where the data lie elsewhere.
    """
    digest = hashlib.blake2b(digest_size=16)
    for subject, number in zip(subjects, counts, strict=True):
        items = {} if subject is None else {name: _sign(subject[name]) for name in subject}
        digest.update(json.dumps([number, items], sort_keys=True).encode())
    if len(shares):
        digest.update(json.dumps(list(shares)).encode())
    return digest.hexdigest()


def make_state(
    options: PlanOptions, lanes: int, data: dict[str, Any], epoch: int, delivered: int
) -> dict[str, Any]:
    """Return what is needed to go on from here, ready for JSON.

    `data` says what is cut, ``"patches"`` how many an epoch has; those and `delivered` count all
    ranks.
    """
    return {
        "version": VERSION,
        "seed": options.seed,
        "epoch": epoch,
        "delivered": delivered,
        "plan": {**_plan_parameters(options), "lanes": lanes},
        "data": data,
    }


def read_epoch(state: Any) -> int:
    """Return the epoch of a state.

    Raises
    ------
    StateError
        If it is no state of a queue.
    """
    if not isinstance(state, Mapping) or state.get("version") != VERSION:
        raise StateError(f"expected the state of a queue, version {VERSION}, got {state!r:.200}")
    epoch, delivered = state.get("epoch"), state.get("delivered")
    if not (isinstance(epoch, int) and isinstance(delivered, int)):
        raise StateError(f"epoch and delivered are whole numbers, got {epoch!r}, {delivered!r}")
    if not 0 <= epoch < 2**63:
        raise StateError(f"0 <= epoch < 2**63 is expected, got {epoch}")
    return epoch


def read_seed(state: Mapping[str, Any]) -> int | None:
    """Return the seed of a state; None where that is no whole number."""
    seed = state.get("seed")
    return seed if isinstance(seed, int) and not isinstance(seed, bool) else None


def read_delivered(state: Mapping[str, Any], expected: Mapping[str, Any]) -> int:
    """Return the number of patches delivered in its epoch, if the state is of this queue.

    Parameters
    ----------
    state : mapping
        What `make_state` returned, in this or another process.
    expected : mapping
        What it returns in the same epoch for the queue that is to go on.

    Raises
    ------
    StateError
        A ValueError that names both values of whatever differs.
    """
    wrong = {
        name: (theirs, ours) for name, ours, theirs in _pairs(expected, state) if ours != theirs
    }
    if wrong:
        values = (
            f"{name}: {theirs!r} in the state, {ours!r} in this queue"
            for name, (theirs, ours) in wrong.items()
        )
        lanes, _ = wrong.get("lanes", (None, None))
        raise StateError(
            f"the state belongs to another queue ({'; '.join(values)}); these must be the same to "
            "go on; workers, start method and, with the same lanes=, the number of ranks may differ"
            + (f": give lanes={lanes} on ranks that divide it" if isinstance(lanes, int) else "")
        )
    delivered, patches = int(state["delivered"]), expected["data"]["patches"]
    if not 0 <= delivered < patches:
        raise StateError(f"0 <= delivered < {patches} is expected, got {delivered}")
    return delivered


def read_replaced(state: Any, num_subjects: int) -> list[tuple[int, int, int]]:
    """Return the epoch, subject and substitute of each subject that was replaced.

    Raises
    ------
    StateError
        If the state lists something else there.
    """
    listed = state.get("replaced") if isinstance(state, Mapping) else None
    found = [tuple(one) if isinstance(one, list | tuple) else () for one in _listed(listed)]
    for one in found:
        if not (len(one) == 3 and _are_indices(one[:1]) and _are_indices(one[1:], num_subjects)):
            raise StateError(
                f"'replaced' of the state lists [epoch, subject, substitute], of "
                f"{num_subjects} subjects; got {listed!r:.200}"
            )
    return found


def read_visits(visits: Any, num_subjects: int) -> dict[int, list[int]]:
    """Return which subjects each epoch visits that a subject_sampler was read for.

    Raises
    ------
    StateError
        If the state says something else there.
    """
    try:
        found = {
            int(epoch): list(order) for epoch, order in ({} if visits is None else visits).items()
        }
    except (AttributeError, TypeError, ValueError):
        found = {-1: []}
    if not all(epoch >= 0 and _are_indices(order, num_subjects) for epoch, order in found.items()):
        raise StateError(
            f"'visits' of the state maps epochs to lists of subjects, of which there are "
            f"{num_subjects}; got {visits!r:.200}"
        )
    return found


def _listed(value: Any) -> Sequence[Any]:
    """Return a list, or something that is not of the kind that one lists."""
    if value is None:
        return []
    return value if isinstance(value, list | tuple) else [value]


def _are_indices(values: Sequence[Any], end: int = 2**63) -> bool:
    return all(isinstance(value, int) and 0 <= value < end for value in values)


def _pairs(expected: Mapping[str, Any], state: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    pairs: list[tuple[str, Any, Any]] = [("seed", expected["seed"], state.get("seed"))]
    for group in ("plan", "data"):
        theirs = {} if state.get(group) is None else state[group]
        if not isinstance(theirs, Mapping):
            raise StateError(f"{group!r} of the state maps names to values, got {theirs!r:.200}")
        pairs += [(name, ours, theirs.get(name)) for name, ours in expected[group].items()]
    return pairs


def _plan_parameters(options: PlanOptions) -> dict[str, Any]:
    return {
        "max_length": options.max_length,
        "shuffle_subjects": options.shuffle_subjects,
        "shuffle_patches": options.shuffle_patches,
        "schedule": options.schedule,
    }


def _sign(item: Any) -> Any:
    if not isinstance(item, Image):
        return item if isinstance(item, str | int | float | bool) else type(item).__name__
    path = item.path
    names = (
        [] if path is None else [one.name for one in (path if isinstance(path, tuple) else (path,))]
    )
    return [item.type, *names]
