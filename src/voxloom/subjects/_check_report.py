"""What checking a data set found: a table of images, and findings by how grave they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from voxloom.io import Shape4

Grade = Literal["error", "warning", "info"]

_GRADES: tuple[Grade, ...] = ("error", "warning", "info")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class ImageRow:
    """What the header of one image says; empty fields where it could not be read.

    Attributes
    ----------
    number : int
        Which subject of the data set.
    subject, image, type : str
        Its id, the image's name and type.
    paths : tuple of str
        The file or files; empty for an image in memory.
    shape : (C, W, H, D)
        Channels and voxels along each axis.
    spacing : three floats
        mm.
    orientation : str
        Where the axes point, e.g. ``'RAS'``.
    dtype : str
        Type of the voxels.
    bytes_on_disk : int
        Size of the files.
    apart_mm, apart_voxels : float
        Largest distance of a corner from its twin in the first image of the subject.
    labels : dict
        Voxels of each label, or of each channel of a map with several, if counted.
    problem : str
        Why it could not be read.
    missing : bool
        Whether that is because there is no file.
    """

    number: int
    subject: str
    image: str
    type: str
    paths: tuple[str, ...]
    shape: Shape4 | None = None
    spacing: tuple[float, float, float] | None = None
    orientation: str | None = None
    dtype: str | None = None
    bytes_on_disk: int | None = None
    apart_mm: float | None = None
    apart_voxels: float | None = None
    labels: dict[int | float, int] | None = None
    problem: str | None = None
    missing: bool = False

    @property
    def spatial_shape(self) -> tuple[int, int, int] | None:
        """Voxels along each axis, ``(W, H, D)``."""
        return None if self.shape is None else self.shape[1:]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that checking a data set found.

    Attributes
    ----------
    grade : {'error', 'warning', 'info'}
        An error would stop a training; a warning may make it a bad one; the rest is to know.
    code : str
        What kind of finding it is, e.g. ``'missing-file'``.
    message : str
        What was found, where, and what can be done.
    subject, image : str, optional
        Whose it is, if it is not the whole data set's.
    """

    grade: Grade
    code: str
    message: str
    subject: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A table with a row for each image, and findings, the gravest first.

    Examples
    --------
    >>> row = ImageRow(0, "a", "t1", "intensity", (), (1, 4, 4, 4), (1.0, 1.0, 1.0), "RAS", "int16")
    >>> report = CheckReport((row,), (Finding("warning", "small", "it is small", "a", "t1"),))
    >>> report.ok, report.as_dict()["findings"][0]["code"]
    (True, 'small')
    >>> print(report)
    1 subject, 1 image
      t1 (intensity): 1 image, shape (1, 4, 4, 4), spacing (1, 1, 1) mm, RAS, int16
    0 errors, 1 warning, 0 infos
      warning small: it is small
    """

    rows: tuple[ImageRow, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that would stop a training."""
        return not self.of_grade("error")

    def of_grade(self, grade: Grade) -> tuple[Finding, ...]:
        """Return the findings of one grade."""
        return tuple(finding for finding in self.findings if finding.grade == grade)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold; labels are then text."""
        rows = [asdict(row) for row in self.rows]
        for row in rows:
            if row["labels"] is not None:
                row["labels"] = {str(label): count for label, count in row["labels"].items()}
        return {"ok": self.ok, "rows": rows, "findings": [asdict(one) for one in self.findings]}

    def __str__(self) -> str:
        subjects = len({row.number for row in self.rows})
        lines = [f"{counted(subjects, 'subject')}, {counted(len(self.rows), 'image')}"]
        lines += [
            _summary(name, [row for row in self.rows if row.image == name])
            for name in dict.fromkeys(row.image for row in self.rows)
        ]
        lines.append(", ".join(counted(len(self.of_grade(g)), g) for g in _GRADES))
        for code in dict.fromkeys((one.grade, one.code) for one in self.findings):
            alike = [one for one in self.findings if (one.grade, one.code) == code]
            lines += [f"  {one.grade} {one.code}: {one.message}" for one in alike[:_SHOWN]]
            if len(alike) > _SHOWN:
                lines.append(f"  {alike[0].grade} {alike[0].code}: {len(alike) - _SHOWN} more")
        return "\n".join(lines)


def _summary(name: str, rows: list[ImageRow]) -> str:
    read = [row for row in rows if row.shape is not None]
    types = " or ".join(sorted({row.type for row in rows}))
    facts = [
        f"shape {_span((row.shape for row in read), _whole)}",
        f"spacing {_span((row.spacing for row in read), _short)} mm",
        _commonest(row.orientation for row in read),
        _commonest(row.dtype for row in read),
    ]
    text = f"  {name} ({types}): {counted(len(rows), 'image')}"
    return ", ".join([text, *facts]) if read else f"{text}, none of them readable"


def _span(values: Iterable[Any], show: Any) -> str:
    """Return the least and the largest along each axis."""
    columns = list(zip(*values, strict=True))
    least, most = tuple(map(min, columns)), tuple(map(max, columns))
    return show(least) if show(least) == show(most) else f"{show(least)} to {show(most)}"


def _whole(numbers: tuple[float, ...]) -> str:
    return f"({', '.join(f'{number:.0f}' for number in numbers)})"


def _short(numbers: tuple[float, ...]) -> str:
    return f"({', '.join(f'{number:.4g}' for number in numbers)})"


def _commonest(values: Iterable[str | None]) -> str:
    counts = Counter(values).most_common()
    if len(counts) == 1:
        return str(counts[0][0])
    return " and ".join(f"{count} x {value}" for value, count in counts)


def counted(count: int, what: str) -> str:
    """Return a number and what is counted, in the plural unless it is one.

    Examples
    --------
    >>> counted(1, "patch"), counted(2, "patch"), counted(0, "subject")
    ('1 patch', '2 patches', '0 subjects')
    """
    ending = "" if count == 1 else "es" if what.endswith("ch") else "s"
    return f"{count} {what}{ending}"
