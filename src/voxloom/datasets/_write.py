"""Phantoms on disk, for benchmarks and for trying a pipeline on files."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from voxloom.datasets._phantom import PhantomSource
from voxloom.io import write_nifti
from voxloom.subjects import LabelMap, ScalarImage, Subject


def write_phantoms(
    folder: str | PathLike[str],
    count: int,
    shape: Sequence[int] = (128, 128, 96),
    labels: int = 4,
    seed: int = 0,
) -> list[Subject]:
    """Write phantoms as ``.nii.gz`` files and return their subjects, which read those files.

    A file that is there already is kept, so that a second call costs nothing; use a folder for each
    shape.

    Parameters
    ----------
    folder : path
        Where ``phantom_000_t1.nii.gz``, ``phantom_000_seg.nii.gz`` and so on go; made if missing.
    count : int
        Number of subjects.
    shape : (W, H, D) sequence of int
        Number of voxels along each axis, at least 4 each. Voxels are 1 mm wide.
    labels : int
        Number of nested tissues, 1 to 64.
    seed : int
        The first subject's seed; each next one has the next.

    Returns
    -------
    list of Subject
        Each with ``t1``, ``seg`` and ``name``.

    Raises
    ------
    GeometryError
        If the shape cannot be used.
    ValueError
        If the number of labels cannot be used.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     subjects = write_phantoms(folder, count=2, shape=(16, 16, 8))
    ...     [subject.name for subject in subjects], subjects[0].t1.is_loaded
    (['phantom_000', 'phantom_001'], False)
    """
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder / f"phantom_{n:03d}", shape, labels, seed + n) for n in range(count)]


def _write(stem: Path, shape: Sequence[int], labels: int, seed: int) -> Subject:
    files = {kind: stem.with_name(f"{stem.name}_{kind}.nii.gz") for kind in ("t1", "seg")}
    for kind, file in files.items():
        if not file.exists():
            source = PhantomSource(kind, shape, labels, seed)
            write_nifti(file, source.read(), source.affine)
    return Subject(t1=ScalarImage(files["t1"]), seg=LabelMap(files["seg"]), name=stem.name)
