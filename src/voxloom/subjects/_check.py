"""Reading every header of a data set, several at a time."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from voxloom._cores import count_cores
from voxloom._errors import PatchSizeError, VoxloomError
from voxloom._progress import progress_bar
from voxloom.geometry import Shape3
from voxloom.io import Array
from voxloom.subjects._check_findings import find_problems
from voxloom.subjects._check_report import CheckReport, ImageRow
from voxloom.subjects._image import Image
from voxloom.subjects._keys import LABEL
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import explain_lost, listed

MOST_THREADS = 16


def check_subjects(
    subjects: Sequence[Subject],
    *,
    labels: bool | Collection[int] = False,
    patch_size: Shape3 | None = None,
    threads: int | None = None,
) -> CheckReport:
    """Return what the headers of all images say, and what is wrong with them. See `check`."""
    from concurrent.futures import ThreadPoolExecutor  # which workers never need

    counts_labels = not isinstance(labels, bool) or labels
    declared = None if isinstance(labels, bool) else frozenset(labels)
    count = threads or min(MOST_THREADS, 4 * count_cores())
    reading = "reading headers and labels" if counts_labels else "reading headers"
    with (
        ThreadPoolExecutor(count, "voxloom-check") as pool,
        progress_bar(len(subjects), reading, unit="subject") as bar,
    ):
        work = ((n, subject, counts_labels) for n, subject in enumerate(subjects))
        found = []
        for several in pool.map(lambda one: read_rows(*one), work):
            found.append(several)
            if bar is not None:
                bar.update()
    rows = tuple(row for several in found for row in several)
    return CheckReport(rows, find_problems(subjects, rows, patch_size, declared))


def three_sizes(patch_size: Any) -> Shape3:
    """Return the patch size along each axis, of one number or three.

    Raises
    ------
    PatchSizeError
        A ValueError, if it is neither.
    """
    try:
        w, h, d = (int(n) for n in np.broadcast_to(patch_size, 3))
    except (TypeError, ValueError) as error:
        raise PatchSizeError(
            f"patch_size is a positive integer, or three, got {patch_size!r}"
        ) from error
    return w, h, d


def read_rows(number: int, subject: Subject, labels: bool) -> list[ImageRow]:
    """Return a row for each image of one subject; nothing of it stays open."""
    images = subject.get_images_dict(intensity_only=False)
    first: Image | None = None
    rows = []
    for name, image in images.items():
        image = copy(image)  # the data set must not keep what is opened here
        rows.append(_row(number, subject, name, image, first, labels))
        first = first or (image if rows[-1].problem is None else None)
    return rows


def _row(
    number: int, subject: Subject, name: str, image: Image, first: Image | None, labels: bool
) -> ImageRow:
    paths = image.path if isinstance(image.path, tuple) else (image.path,)
    texts = tuple(str(path) for path in paths if path is not None)
    identity = str(subject.get("subject_id", number))
    place: dict[str, Any] = {
        "number": number, "subject": identity, "image": name, "type": image.type, "paths": texts,
    }  # fmt: skip
    try:
        space = image.space
        image.source.check_whole()
        counts = _count_labels(image.read()) if labels and image.type == LABEL else None
        return ImageRow(
            **place,
            shape=image.shape,
            spacing=space.spacing,
            orientation="".join(space.orientation),
            dtype=str(image.dtype),
            bytes_on_disk=_bytes_of(texts),
            apart_mm=None if first is None else _apart(first, image, voxels=False),
            apart_voxels=None if first is None else _apart(first, image, voxels=True),
            labels=counts,
        )
    except (VoxloomError, OSError, MemoryError) as error:
        missing = isinstance(error, FileNotFoundError)
        lost = [file for file in paths if isinstance(file, Path) and not file.exists()]
        problem = f"there is no file {listed(map(explain_lost, lost))}" if lost else str(error)
        return ImageRow(**place, problem=problem, missing=missing)


def _apart(first: Image, image: Image, *, voxels: bool) -> float | None:
    if first.spatial_shape != image.spatial_shape:
        return None
    if voxels:
        return first.space.distance_voxels(image.space)
    return first.space.distance_mm(image.space)


def _bytes_of(paths: Sequence[str]) -> int | None:
    files = [Path(path) for path in paths]
    return sum(file.stat().st_size for file in files) if all(f.is_file() for f in files) else None


def _count_labels(voxels: Array) -> dict[int | float, int]:
    """Return how many voxels each label has; channels that are classes count by channel."""
    if voxels.shape[0] > 1:
        return {channel: int(np.count_nonzero(part)) for channel, part in enumerate(voxels)}
    flat = voxels.ravel(order="K")
    if voxels.dtype.kind in "bu" and voxels.dtype.itemsize == 1:
        counts = np.bincount(flat.view(np.uint8), minlength=256)
        return {int(value): int(counts[value]) for value in counts.nonzero()[0]}
    values, counts = np.unique(flat, return_counts=True)
    numbers = [int(v) if float(v).is_integer() else float(v) for v in values.tolist()]
    return dict(zip(numbers, map(int, counts), strict=True))
