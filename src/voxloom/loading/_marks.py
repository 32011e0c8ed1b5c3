"""What was done when, for traces: in memory that is taken once and does not grow."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from voxloom.loading._stats import WORKER_STAGES

TRAINER: Final = -1
_NAMES: Final = ("open", "cut", "wait")
_ROW: Final = f"<qqqqdd{len(WORKER_STAGES)}d"
_NOBODY: Final = -1
_KEPT: Final = 5_000


class Rows:
    """The last rows of numbers of one thread, the oldest first.

    A run of days makes millions of them; kept as objects, even the last few thousand would
    take megabytes, and take them little by little, like a leak.

    Parameters
    ----------
    form : str
        The numbers of a row, as `struct` names them.

    Examples
    --------
    >>> rows = Rows("<dq")
    >>> rows.add(0.5, 3)
    >>> len(rows), list(rows)
    (1, [(0.5, 3)])
    """

    def __init__(self, form: str) -> None:
        self._form, self._row_bytes = form, struct.calcsize(form)
        self._rows = bytearray(_KEPT * self._row_bytes)
        self._count = 0

    def __len__(self) -> int:
        return min(self._count, _KEPT)

    def add(self, *numbers: float) -> None:
        """Keep a row, in the place of the oldest where there are many."""
        place = self._count % _KEPT * self._row_bytes
        struct.pack_into(self._form, self._rows, place, *numbers)
        self._count += 1

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        for number in range(max(self._count - _KEPT, 0), self._count):
            yield struct.unpack_from(self._form, self._rows, number % _KEPT * self._row_bytes)


class Mark(NamedTuple):
    """One thing that was done: by which worker, when, for which subject."""

    name: str
    worker: int
    begin_s: float
    end_s: float
    epoch: int
    subject: int | None
    seconds: dict[str, float]


class Marks:
    """The last marks of one thread, the oldest first.

    Examples
    --------
    >>> marks = Marks()
    >>> marks.add(Mark("cut", 1, 0.5, 0.75, 0, 3, {"crop": 0.25}))
    >>> [mark.name for mark in marks], next(iter(marks)).seconds
    (['cut'], {'crop': 0.25})
    """

    def __init__(self) -> None:
        self._rows = Rows(_ROW)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, mark: Mark) -> None:
        """Keep a mark, in the place of the oldest where there are many."""
        subject = _NOBODY if mark.subject is None else mark.subject
        name, seconds = _NAMES.index(mark.name), mark.seconds
        took = (seconds.get(stage, 0.0) for stage in WORKER_STAGES)
        self._rows.add(name, mark.worker, mark.epoch, subject, *mark[2:4], *took)

    def __iter__(self) -> Iterator[Mark]:
        for name, worker, epoch, subject, begin_s, end_s, *took in self._rows:
            stages = zip(WORKER_STAGES, took, strict=True)
            seconds = {stage: each for stage, each in stages if each}
            whose = None if subject == _NOBODY else subject
            yield Mark(_NAMES[name], worker, begin_s, end_s, epoch, whose, seconds)
