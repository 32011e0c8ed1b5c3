"""Running a transform once, and keeping what comes of it for fast reads by region."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from voxloom._errors import PreparedError, SubjectError, VolumeReadError
from voxloom._progress import progress_bar
from voxloom.geometry import Shape3
from voxloom.prepared._key import subject_key
from voxloom.prepared._settings import Settings
from voxloom.prepared._store import (
    FORMAT,
    MANIFEST,
    SUBJECTS,
    VERSION,
    open_prepared,
    read_record,
    stored_ids,
)
from voxloom.prepared._transform_key import transform_key
from voxloom.prepared._workers import map_in_processes
from voxloom.prepared._write import UNFINISHED, is_ours, write_subject
from voxloom.subjects import LABEL, Subject, SubjectsDataset

_LOCK: Final = ".lock"
_RESERVE_BYTES: Final = 64 << 20
_LEAST_SHARE: Final = {"nifti": 1.03, "zarr": 0.1}
"""Of the voxels' bytes: with their index, or compressed as well as images ever are."""


def prepare(
    dataset: SubjectsDataset,
    folder: str | os.PathLike[str],
    patch_size: int | Shape3 | None = None,
    num_workers: int = 0,
    layout: str = "nifti",
    overwrite: bool = False,
) -> SubjectsDataset:
    """Run a data set's transform once and store its subjects for fast reads by region.

    Label maps and sampling maps get their sampling index. A subject is known by its content and
    the transform: running it again does what changed, and removes from the folder what it wrote
    of subjects that are in the data set no longer. A run that was stopped goes on where it was, and
    gives the same store. The transform must be deterministic: random ones belong on the data set
    that this returns. It is known by its source, its state and what it uses of its own module;
    where something else that it calls has changed, give ``overwrite=True``.

    Parameters
    ----------
    dataset : SubjectsDataset
        What to prepare. With workers, its transform can be pickled.
    folder : str or path-like
        Where to; made if it is not there.
    patch_size : int or (w, h, d), optional
        Size of the patches that will be read, for the chunks of ``'zarr'``.
    num_workers : int
        How many processes; 0 does it in this one.
    layout : {'nifti', 'zarr'}
        Uncompressed ``.nii``, the fastest, which any viewer opens; or OME-Zarr 0.5 in shards,
        about half the size, and far less for label maps.
    overwrite : bool
        Whether subjects that are there already are prepared again, and the store of another data
        set, none of whose subjects is in this one by its id or content, is replaced.

    Returns
    -------
    SubjectsDataset
        The same subjects, read from the folder, without a transform.

    Raises
    ------
    PreparedError
        A ValueError and OSError, if the disk has too little room, the transform is random, another
        process prepares into the folder, it holds another data set, or something of a subject
        cannot be kept.

    Examples
    --------
    >>> import tempfile
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8), dtype=np.int16)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     dataset = prepare(SubjectsDataset([subject], lambda s: s.replace(seen=True)), folder)
    ...     dataset[0].seen, dataset.dry_iter()[0]["t1"].source.reads_regions
    (True, True)
    """
    if not isinstance(dataset, SubjectsDataset):
        raise SubjectError(f"expected a SubjectsDataset, got {type(dataset).__name__}")
    settings = Settings.of(layout, patch_size)
    root = Path(folder).expanduser()
    try:
        (root / SUBJECTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _no_place(root, error) from error
    with _locked(root):
        job = _Job(dataset, root, settings, transform_key(dataset.transform), overwrite)
        if not overwrite:
            _check_not_another(job)
        _check_room(dataset.dry_iter(), root, settings)
        keys = _run(job, len(dataset), num_workers)
        _finish(root, keys, settings)
    return open_prepared(root)


@dataclass(frozen=True, slots=True)
class _Job:
    """Prepares one subject, in whichever process."""

    dataset: SubjectsDataset
    root: Path
    settings: Settings
    transform: str
    overwrite: bool

    def __call__(self, number: int) -> str:
        key = self.key(number)
        place = self.root / SUBJECTS / key
        if self.overwrite or read_record(place) is None:
            write_subject(self._transformed(number), place, self.settings)
        return key

    def key(self, number: int) -> str:
        """Return the name of a subject's place, which says what is in it."""
        return subject_key(self.dataset.dry_iter()[number], f"{self.settings} {self.transform}")

    def _transformed(self, number: int) -> Subject:
        plain = type(self.dataset).__getitem__ is SubjectsDataset.__getitem__
        if plain and self.dataset.transform is None:
            return self.dataset.dry_iter()[number]
        subject = self._made(number)
        if number == 0:
            _check_same(subject, self._made(number))
        return subject

    def _made(self, number: int) -> Subject:
        try:
            return self.dataset[number]
        except (VolumeReadError, MemoryError):  # the first names its file
            raise
        except Exception as error:
            which = self.dataset.dry_iter()[number].describe()
            raise PreparedError(
                f"{which} (number {number}) cannot be prepared, its transform failed: "
                f"{type(error).__name__}: {error}. What is done is kept, run it again to go on"
            ) from error


def _run(job: _Job, count: int, num_workers: int) -> list[str]:
    keys = [""] * count
    with progress_bar(count, "preparing", unit="subject") as bar:
        for number, key in map_in_processes(job, range(count), num_workers):
            keys[number] = key
            if bar is not None:
                bar.update(1)
    return keys


def _finish(root: Path, keys: Sequence[str], settings: Settings) -> None:
    entries = [{"key": key, "record": read_record(root / SUBJECTS / key)} for key in keys]
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "layout": settings.layout,
        "patch_size": settings.patch_size,
        "subjects": entries,
    }
    unfinished = root / f"{MANIFEST}{UNFINISHED}"
    unfinished.write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    unfinished.replace(root / MANIFEST)
    for place in (root / SUBJECTS).iterdir():
        if place.name not in keys and is_ours(place):
            shutil.rmtree(place)


def _no_place(root: Path, error: OSError) -> PreparedError:
    return PreparedError(
        f"{root}: nothing can be prepared here, {error.strerror or error}; choose another folder, "
        "or read what is there with open_prepared"
    )


def _check_not_another(job: _Job) -> None:
    """Raise where the folder holds subjects and none of them is ours.

    By ids first: all content may have changed with the transform. Content is asked where a
    transform gives other ids. Subjects without an id might be ours.
    """
    subjects = job.dataset.dry_iter()
    ours = {str(subject["subject_id"]) for subject in subjects if "subject_id" in subject}
    theirs: dict[str, str] = {}
    for place, identity in stored_ids(job.root) if ours else ():
        if identity in ours:  # most often the first one
            return
        theirs[place] = identity
    if theirs and not any(job.key(number) in theirs for number in range(len(subjects))):
        raise PreparedError(
            f"{job.root}: holds another data set, with subjects such as "
            f"{min(theirs.values())!r}, none of "
            "which is in this one; choose another folder, or replace it with overwrite=True "
            "(--overwrite on the command line)"
        )


def _check_room(subjects: Sequence[Subject], root: Path, settings: Settings) -> None:
    """Raise where the store would surely not fit."""
    needed = 0.0
    for subject in subjects:
        for image in subject.get_images(intensity_only=False):
            if settings.layout == "nifti" or image.type != LABEL:  # else next to nothing
                needed += math.prod(image.shape) * image.source.dtype.itemsize
    needed *= _LEAST_SHARE[settings.layout]
    there = sum(file.stat().st_size for file in root.rglob("*") if file.is_file())
    free = shutil.disk_usage(root).free
    missing = needed + _RESERVE_BYTES - there - free
    if missing > 0:
        least, remedy = ("about", ", or layout='zarr', which compresses")
        if settings.layout == "zarr":
            least, remedy = "at least", ""
        raise PreparedError(
            f"{root}: the prepared volumes take {least} {needed / 1e9:.1f} GB and the disk has "
            f"{free / 1e9:.1f} GB free; free {missing / 1e9:.1f} GB, choose another folder{remedy}"
        )


def _check_same(one: Subject, other: Subject) -> None:
    for name, image in one.get_images_dict(intensity_only=False).items():
        twin = other.get_image(name)
        if not np.array_equal(image.array, twin.array, equal_nan=image.dtype.kind == "f"):
            raise PreparedError(
                f"the transform gave image {name!r} of {one.describe()} two different results: "
                "prepare with deterministic transforms only, and set random ones on the data set "
                "that it returns with set_transform(...)"
            )


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not on this system: two runs at once are the user's to avoid
        yield
        return
    try:
        file = (root / _LOCK).open("w")
    except OSError as error:
        raise _no_place(root, error) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PreparedError(
                f"{root}: another process prepares a data set in this folder; wait for it"
            ) from None
        yield
