"""What notebooks show of images, subjects and queues: a table, and a picture where one can be had.

The HTML stands for itself: no script, no style sheet, no address. matplotlib draws the picture;
without it there is the table. Nothing here raises: a notebook would show nothing at all.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from voxloom._errors import VoxloomError
from voxloom.subjects import Image, Subject
from voxloom.view._image import plot_image
from voxloom.view._queue import plot_queue
from voxloom.view._subject import find_grey, find_labels, plot_subject

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from voxloom.loading import Queue

_DRAWN_UNASKED: Final = 1 << 26  # bytes of voxels that are decoded to be shown, half a second
_DOTS_PER_INCH: Final = 75
_CELL: Final = 'style="text-align:left;padding:2px 10px 2px 0;vertical-align:top"'
_LONGEST: Final = 200


def describe_image(image: Image) -> str:
    """Return an image as HTML: what its header says, and three planes.

    The planes are drawn if the voxels are in memory, or are at most 64 MiB.

    Examples
    --------
    >>> from voxloom import ScalarImage
    >>> "(1, 8, 9, 7)" in describe_image(ScalarImage(tensor=np.ones((1, 8, 9, 7))))
    True
    """
    rows = [("type", image.type), *_facts(image)]
    return _page(type(image).__name__, _table(rows), _picture([image], lambda: plot_image(image)))


def describe_subject(subject: Subject) -> str:
    """Return a subject as HTML: its images and what is known of it, and three planes.

    Examples
    --------
    >>> from voxloom import ScalarImage
    >>> image = ScalarImage(tensor=np.ones((1, 8, 9, 7)))
    >>> "age" in describe_subject(Subject(t1=image, age=42))
    True
    """
    images = subject.get_images_dict(intensity_only=False)
    columns = ("", "type", "shape", "spacing (mm)", "orientation", "dtype", "voxels")
    rows = [
        (name, image.type, *(dict(_facts(image)).get(column, "") for column in columns[2:]))
        for name, image in images.items()
    ]
    unreadable = [(name, _unreadable(image)) for name, image in images.items()]
    known = [(name, value) for name, value in subject.items() if name not in images]
    parts = [
        _table(rows, columns),
        _table([(name, text) for name, text in unreadable if text]),
        _table(known),
    ]
    shown = [one for one in (find_grey(subject, None), find_labels(subject, None)) if one]
    return _page(
        type(subject).__name__, "".join(parts), _picture(shown, lambda: plot_subject(subject))
    )


def describe_queue(queue: Queue) -> str:
    """Return a queue as HTML: its settings, where it is, what it measured, and `plot_queue`.

    Examples
    --------
    >>> from voxloom import Queue, ScalarImage, SubjectsDataset, UniformSampler
    >>> image = ScalarImage(tensor=np.zeros((1, 8, 8, 8), dtype=np.float32))
    >>> dataset = SubjectsDataset([Subject(t1=image)] * 4)
    >>> queue = Queue(dataset, max_length=8, samples_per_volume=2, sampler=UniformSampler(4))
    >>> "max_length" in describe_queue(queue)
    True
    """
    stats, state = queue.stats(), queue.state_dict()
    rows: list[tuple[str, Any]] = [
        ("subjects", queue.num_subjects),
        ("patches an epoch", len(queue)),
        ("sampler", queue.sampler),
        ("max_length", f"{queue.max_length} ({queue.get_max_memory_pretty()})"),
        ("workers", f"{queue.num_workers} ({stats.executor})"),
        ("seed", queue.seed),
        ("now", f"epoch {state['epoch']}, {state['delivered']} patches delivered"),
        ("finished patches", f"{stats.ready} ready, {stats.held} held"),
    ]
    if not stats.total.batches:
        return _page("Queue", _table(rows), "")
    times = [
        (stage.stage, f"{stage.seconds:.2f}", f"{stage.share:.1%}")
        for stage in stats.total.stages
        if stage.seconds
    ]
    rows += [
        ("patches a second", f"{stats.total.patches_per_s:.1f}"),
        ("trainer waited", f"{stats.total.waiting_share:.1%}"),
        ("advice", queue.advice()),
    ]
    told = _table(rows) + _table(times, ("stage", "seconds", "share"))
    return _page("Queue", told, _draw(lambda: plot_queue(queue)))


def _facts(image: Image) -> list[tuple[str, Any]]:
    """Return what the header says; nothing but where it lies if that cannot be read."""
    where = "in memory" if image.is_loaded else "in the file"
    try:
        size = int(np.prod(image.shape)) * image.dtype.itemsize / 2**20
        return [
            ("shape", image.shape),
            ("spacing (mm)", " x ".join(f"{length:.3g}" for length in image.spacing)),
            ("orientation", "".join(image.orientation) + "+"),
            ("dtype", image.dtype),
            ("voxels", f"{where}, {size:.1f} MiB"),
            *([] if image.path is None else [("path", image["path"])]),
        ]
    except (OSError, VoxloomError) as error:
        return [("unreadable", error)]


def _unreadable(image: Image) -> str:
    return str(dict(_facts(image)).get("unreadable", ""))


def _picture(images: Sequence[Image], draw: Callable[[], Figure]) -> str:
    try:
        sizes = [
            int(np.prod(one.shape)) * one.dtype.itemsize for one in images if not one.is_loaded
        ]
    except (OSError, VoxloomError):
        return ""  # the table says it
    if sum(sizes) > _DRAWN_UNASKED:
        return "<p>Too large to be decoded unasked: <code>plot()</code> draws it.</p>"
    return _draw(draw)


def _draw(draw: Callable[[], Figure]) -> str:
    if find_spec("matplotlib") is None:
        return ""
    png = io.BytesIO()
    try:
        draw().savefig(png, dpi=_DOTS_PER_INCH)
    except (OSError, VoxloomError) as error:
        return f"<p>No picture: {escape(str(error))}</p>"
    data = base64.b64encode(png.getvalue()).decode()
    return (
        f'<img alt="the picture that plot() draws" src="data:image/png;base64,{data}" '
        'style="max-width:100%">'
    )


def _table(rows: Iterable[Sequence[Any]], columns: Sequence[str] = ()) -> str:
    lines = ["".join(f"<th {_CELL}>{escape(name)}</th>" for name in columns)] if columns else []
    for first, *others in rows:
        cells = "".join(f"<td {_CELL}>{escape(_short(cell))}</td>" for cell in others)
        lines.append(f"<th {_CELL}>{escape(str(first))}</th>{cells}")
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>" if lines else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _page(title: str, table: str, picture: str) -> str:
    return f"<div><b>{escape(title)}</b>{table}{picture}</div>"
