"""Rules: what in a data set would stop a training, spoil it, or is good to know."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence

from voxloom.geometry import Shape3
from voxloom.subjects._check_report import Finding, Grade, ImageRow
from voxloom.subjects._keys import LABEL
from voxloom.subjects._subject import Subject
from voxloom.subjects._volume_files import listed

Rows = Sequence[ImageRow]

_NOTICED_VOXELS = 1e-3
_MANY_LABELS = 512
_GRADES: tuple[Grade, ...] = ("error", "warning", "info")


def find_problems(
    subjects: Sequence[Subject],
    rows: Rows,
    patch_size: Shape3 | None,
    declared: frozenset[int] | None = None,
) -> tuple[Finding, ...]:
    """Return all findings, the gravest first, then in the order of the subjects."""
    tolerances = {number: subject.space_tolerance for number, subject in enumerate(subjects)}
    findings = [
        *_unreadable(rows),
        *_spaces(rows, tolerances),
        *_patches(rows, patch_size),
        *_labels(rows),
        *_undeclared(rows, declared),
        *_incomplete(subjects),
        *_ids(subjects),
        *_shared_files(rows),
        *_differing(rows, "channels", "error", lambda row: row.shape and row.shape[0]),
        *_differing(rows, "dtype", "info", lambda row: row.dtype),
        *_differing(rows, "orientation", "warning", lambda row: row.orientation),
        *_spacings(rows),
    ]
    return tuple(sorted(findings, key=lambda finding: _GRADES.index(finding.grade)))


def _unreadable(rows: Rows) -> Iterator[Finding]:
    for row in rows:
        if row.problem is not None:
            code = "missing-file" if row.missing else "unreadable"
            message = f"image {row.image!r} of {row.subject!r}: {row.problem}"
            yield Finding("error", code, message, row.subject, row.image)


def _spaces(rows: Rows, tolerances: dict[int, float]) -> Iterator[Finding]:
    first: dict[int, ImageRow] = {}
    for row in rows:
        if row.shape is None:
            continue
        other = first.setdefault(row.number, row)
        pair = f"{other.image!r} and {row.image!r} of {row.subject!r}"
        if row.spatial_shape != other.spatial_shape:
            message = (
                f"{pair} have spatial shapes {other.spatial_shape} and {row.spatial_shape}; "
                "resample one onto the grid of the other"
            )
            yield Finding("error", "shapes-differ", message, row.subject, row.image)
        elif row.apart_voxels is not None and row.apart_voxels > _NOTICED_VOXELS:
            stops = row.apart_voxels > tolerances[row.number]
            message = (
                f"{pair} lie up to {row.apart_mm:.3g} mm ({row.apart_voxels:.3g} voxels) apart, "
                f"{'more' if stops else 'less'} than space_tolerance={tolerances[row.number]} "
                "voxels"
            )
            grade: Grade = "error" if stops else "info"
            yield Finding(grade, "spaces-differ", message, row.subject, row.image)


def _patches(rows: Rows, patch_size: Shape3 | None) -> Iterator[Finding]:
    if patch_size is None:
        return
    for row in rows:
        if row.shape is not None and any(
            n < p for n, p in zip(row.shape[1:], patch_size, strict=True)
        ):
            message = (
                f"{row.image!r} of {row.subject!r} has spatial shape {row.spatial_shape}, smaller "
                f"than the patch {patch_size}; give the sampler a padding_mode, or pad it"
            )
            yield Finding("error", "smaller-than-patch", message, row.subject, row.image)


def _labels(rows: Rows) -> Iterator[Finding]:
    counted = [row for row in rows if row.labels is not None]
    seen: dict[str, Counter[int | float]] = defaultdict(Counter)
    for row in counted:
        labels = row.labels or {}
        where = f"{row.image!r} of {row.subject!r}"
        odd = [value for value in labels if not math.isfinite(value) or value != int(value)]
        if odd or len(labels) > _MANY_LABELS:
            problem = f"values such as {odd[0]}" if odd else f"{len(labels)} different values"
            message = f"{where} has {problem}; is it a label map, or was it interpolated?"
            yield Finding("error" if odd else "warning", "odd-labels", message, row.subject,
                          row.image)  # fmt: skip
        elif not any(count for value, count in labels.items() if value or _is_multi(row)):
            message = f"{where} has no foreground"
            yield Finding("warning", "empty-labels", message, row.subject, row.image)
        seen[row.image].update(value for value, count in labels.items() if count)
    for image, values in seen.items():
        total = sum(row.image == image for row in counted)
        shares = [f"{value} in {count}" for value, count in sorted(values.items())]
        message = f"labels of {image!r}, in how many subjects (of {total}): {listed(shares, 20)}"
        yield Finding("info", "labels", message, image=image)


def _undeclared(rows: Rows, declared: frozenset[int] | None) -> Iterator[Finding]:
    if declared is None:
        return
    for row in rows:
        found = row.labels or {}
        if not _is_multi(row) and not found.keys() <= declared:
            file = f" ({listed(row.paths)})" if row.paths else ""
            message = (
                f"{row.image!r} of {row.subject!r}{file} has the labels "
                f"{listed(sorted(found), 20)}, declared are {listed(sorted(declared), 20)}; "
                "correct the map, or declare them"
            )
            yield Finding("error", "undeclared-labels", message, row.subject, row.image)


def _is_multi(row: ImageRow) -> bool:
    return row.shape is not None and row.shape[0] > 1


def _incomplete(subjects: Sequence[Subject]) -> Iterator[Finding]:
    counts = Counter(name for subject in subjects for name in subject)
    images = {name for subject in subjects for name in subject.get_images_names()}
    for name, count in counts.items():
        if count == len(subjects):
            continue
        without = [_id(n, s) for n, s in enumerate(subjects) if name not in s]
        grade: Grade = "error" if name in images else "warning"
        message = (
            f"{name!r} is missing in {len(without)} of {len(subjects)} subjects, which cannot be "
            f"in one batch with the others: {listed(without)}"
        )
        yield Finding(grade, "incomplete", message, image=name if name in images else None)
    if not any(image.type == LABEL for s in subjects for image in s.get_images(False)):
        yield Finding("info", "no-labels", "no subject has a label map")


def _ids(subjects: Sequence[Subject]) -> Iterator[Finding]:
    without = [n for n, subject in enumerate(subjects) if "subject_id" not in subject]
    if without:
        share = f"{len(without)} of {len(subjects)} subjects"
        message = f"no 'subject_id' in {share}, e.g. number {without[0]}"
        yield Finding("info", "no-id", message)
    counts = Counter(str(s["subject_id"]) for s in subjects if "subject_id" in s)
    for name, count in counts.items():
        if count > 1:
            message = f"{count} subjects have the subject_id {name!r}; patches and splits need one"
            yield Finding("error", "duplicate-id", message, name)


def _shared_files(rows: Rows) -> Iterator[Finding]:
    owners: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for row in rows:
        if row.paths:
            owners[row.paths].add(row.number)
    for paths, numbers in owners.items():
        if len(numbers) > 1:
            message = f"{listed(paths)} belongs to {len(numbers)} subjects"
            yield Finding("warning", "shared-file", message)


def _differing(
    rows: Rows, what: str, grade: Grade, value_of: Callable[[ImageRow], object]
) -> Iterator[Finding]:
    for image in dict.fromkeys(row.image for row in rows):
        alike = [row for row in rows if row.image == image and row.shape is not None]
        counts = Counter(value_of(row) for row in alike).most_common()
        if len(counts) > 1:
            rare = next(row.subject for row in alike if value_of(row) == counts[-1][0])
            shares = listed((f"{value} in {count}" for value, count in counts), 6)
            message = f"{image!r} differs in {what} between subjects: {shares} ({rare!r})"
            yield Finding(grade, f"{what}-differ", message, image=image)


def _spacings(rows: Rows) -> Iterator[Finding]:
    for image in dict.fromkeys(row.image for row in rows):
        spacings = [row.spacing for row in rows if row.image == image and row.spacing]
        if not spacings:
            continue
        ratio = max(max(axis) / min(axis) for axis in zip(*spacings, strict=True))
        if ratio > 1.1:
            message = (
                f"spacings of {image!r} differ by up to {ratio:.3g} times between subjects; "
                "a network sees voxels, not mm: resample them to one spacing"
            )
            yield Finding("warning", "spacings-differ", message, image=image)


def _id(number: int, subject: Subject) -> str:
    return str(subject.get("subject_id", number))
