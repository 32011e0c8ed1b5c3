"""Finding out how a plain folder of volumes is laid out."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from voxloom._errors import LayoutError, VolumeNotFoundError
from voxloom.io import known_suffixes
from voxloom.io._dicom import SUFFIXES, should_be_slice
from voxloom.io._itk import find_series

_MOST_IMAGES: Final = 12
_SHARE_OF_SUBJECTS: Final = 0.5
_LABEL_WORDS: Final = re.compile(
    r"(?:^|_)(?:seg|dseg|segs|segmentations?|labels?|masks?|gt|truth|tissues?|lesions?|aseg|aparc"
    r"|tumou?r|annotations?|rois?|atlas)(?:$|_|\d)"
)
_IMAGE_WORDS: Final = re.compile(
    r"(?:^|_)(?:t1|t1w|t1c|t1ce|t1gd|t2|t2w|flair|pd|dwi|adc|swi|bold|ct|cta|cbct|mr|mri|pet|us"
    r"|images?|imgs?|scans?|volumes?)(?:$|_|\d)"
)
_FOLDER_OF_PART: Final = re.compile(
    r"(.+?)(?:[-_]?(tr|train|training|va|val|valid|validation|ts|test|testing))?", re.IGNORECASE
)
_WORD: Final = "[A-Za-z][A-Za-z0-9]*"
_Split = Callable[[Path], tuple[str, str] | None]
_Groups = dict[str, dict[str, Path]]


@dataclass(frozen=True, slots=True)
class FoundLayout:
    """How a folder is laid out.

    Attributes
    ----------
    says : str
        What tells the images of a subject apart, in words.
    files : dict
        For each subject its images, by name.
    labels : frozenset of str
        Which images are label maps, by their names.
    advice : str
        What to do if the layout is another one, where that is likely.
    """

    says: str
    files: _Groups
    labels: frozenset[str]
    advice: str = ""

    @property
    def images(self) -> list[str]:
        """Names of the images, the most frequent and then the first first, labels last."""
        counts = Counter(name for images in self.files.values() for name in images)
        return sorted(counts, key=lambda name: (name in self.labels, -counts[name], name))


def find_layout(folder: Path) -> FoundLayout:
    """Return which files of a folder are which images of which subjects.

    Of three layouts the one is taken that explains the files best: the image is the last word
    of the file name (``ann_t1.nii.gz``), the file in a folder of the subject
    (``ann/t1.nii.gz``), or a folder (``images/ann.nii.gz``). Where none of them fits,
    ``ann-t1.nii.gz``, ``volume-0.nii``, ``ann.nii.gz`` with ``ann_seg.nii.gz``,
    ``train/images/ann.nii.gz`` and ``ann/segmentations/liver.nii.gz`` are tried. Else each file
    is a subject. A folder of DICOM slices is one volume.

    Raises
    ------
    VolumeNotFoundError
        If there is no folder, or no volume in it.
    LayoutError
        If a subject has more images than a network is given, or two files have one name.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("ann_t1", "ann_seg", "bob_t1", "bob_seg"):
    ...         Path(folder, f"{name}.nii.gz").touch()
    ...     found = find_layout(Path(folder))
    >>> list(found.files), found.images, sorted(found.labels)
    (['ann', 'bob'], ['t1', 'seg'], ['seg'])
    """
    if not folder.is_dir():
        raise VolumeNotFoundError(f"there is no folder {str(folder)!r}; check the path")
    files = sorted(_volumes_in(folder))
    if not files:
        raise VolumeNotFoundError(
            f"no volume lies in {str(folder)!r} or below; known are names that end in "
            f"{', '.join(sorted(known_suffixes()))}"
        )
    if files == [Path()]:
        groups = {folder.resolve().name: {"image": folder}}
        return FoundLayout("nothing: the folder is one DICOM volume", groups, frozenset())
    found = _explained(folder, files, _SPLITS)
    if not any(map(_is_sure, found.values())):
        others = _explained(folder, files, _RARER_SPLITS)
        found = {says: one for says, one in others.items() if _is_sure(one)} or found
    if not any(map(_is_sure, found.values())):
        _refuse_many(folder, files)
    if not found:
        return _one_each(folder, files)
    says, groups = max(found.items(), key=lambda one: _completeness(one[1]))
    names = {name for images in groups.values() for name in images}
    return FoundLayout(says, groups, frozenset(filter(looks_like_labels, names)))


def looks_like_labels(name: str) -> bool:
    """Whether the name of an image is one that people give to label maps.

    Examples
    --------
    >>> looks_like_labels("seg"), looks_like_labels("tumor_mask"), looks_like_labels("segway")
    (True, True, False)
    """
    return _LABEL_WORDS.search(name.lower()) is not None


def _volumes_in(folder: Path) -> Iterator[Path]:
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if slices := _slices_in(path, names):
            yield Path(path).relative_to(folder)
        for name in {*folders, *names} - slices:
            if _stem(name) != name and not name.startswith("."):
                yield Path(path, name).relative_to(folder)
        folders[:] = [name for name in folders if _stem(name) == name]  # a Zarr is one volume


def _slices_in(folder: str, names: list[str]) -> set[str]:
    """Return which of the files are slices of a series; none where each is a series."""
    slices = {name for name in names if _is_slice(Path(folder, name))}
    has_series = len(slices) > 1 and any(len(one) > 1 for one in find_series(folder).values())
    return slices if has_series else set()


def _is_slice(file: Path) -> bool:
    """Whether a file is DICOM by its suffix or, where it has none, by its mark."""
    if file.name.startswith("."):
        return False
    if file.suffix.lower() in SUFFIXES:
        return True
    has_suffix = file.suffix[1:].isalpha() or _stem(file.name) != file.name
    return not has_suffix and os.access(file, os.R_OK) and should_be_slice(file)


def _stem(name: str) -> str:
    """Return the name without the suffix of a volume, if it has one."""
    for suffix in known_suffixes():
        if name.lower().endswith(suffix) and len(name) > len(suffix):
            return name[: -len(suffix)]
    return name


def _by_last_word(file: Path) -> tuple[str, str] | None:
    stem = _stem(file.name)
    subject, _, image = stem.rpartition("_")
    is_numbered_folder = stem == file.name and image.isdigit()
    if not subject or is_numbered_folder:
        return None
    return (file.parent / subject).as_posix(), image


def _by_file_in_folder(file: Path) -> tuple[str, str] | None:
    return (file.parent.as_posix(), _stem(file.name)) if len(file.parts) > 1 else None


def _by_folder(file: Path) -> tuple[str, str] | None:
    if len(file.parts) < 2:
        return None
    return Path(*file.parts[1:-1], _stem(file.name)).as_posix(), file.parts[0]


def _by_word_after_hyphen(file: Path) -> tuple[str, str] | None:
    match = re.fullmatch(f"(.+)-({_WORD})", _stem(file.name))
    return ((file.parent / match[1]).as_posix(), match[2]) if match else None


def _by_word_before_number(file: Path) -> tuple[str, str] | None:
    match = re.fullmatch(r"([A-Za-z]+)[-_]?(\d+)", _stem(file.name))
    return (match[2], match[1]) if match else None


def _by_own_folder(file: Path) -> tuple[str, str] | None:
    match = _FOLDER_OF_PART.fullmatch(file.parent.name)
    if match is None:
        return None
    return Path(file.parent.parent, match[2] or "", _stem(file.name)).as_posix(), match[1]


def _by_path_in_folder(file: Path) -> tuple[str, str] | None:
    if len(file.parts) < 2:
        return None
    return file.parts[0], "_".join([*file.parts[1:-1], _stem(file.name)])


def _by_known_word(file: Path) -> tuple[str, str]:
    stem = _stem(file.name)
    match = re.fullmatch(f"(.+)[-_]({_WORD})", stem)
    subject, image = match.groups() if match and _is_known(match[2]) else (stem, "image")
    return (file.parent / subject).as_posix(), image


_SPLITS: Final[dict[str, _Split]] = {
    "the last word of a file's name": _by_last_word,
    "files in a folder for each subject": _by_file_in_folder,
    "folders": _by_folder,
}
_RARER_SPLITS: Final[dict[str, _Split]] = {
    "the word after the last '-' of a file's name": _by_word_after_hyphen,
    "the word before the number in a file's name": _by_word_before_number,
    "a last word that some files' names have": _by_known_word,
    "the folder that a file lies in": _by_own_folder,
    "files below a folder for each subject": _by_path_in_folder,
}


def _explained(folder: Path, files: list[Path], splits: Mapping[str, _Split]) -> dict[str, _Groups]:
    found = {says: _group(folder, files, split) for says, split in splits.items()}
    return {says: groups for says, groups in found.items() if groups is not None}


def _group(
    folder: Path, files: list[Path], split: _Split, most: int = _MOST_IMAGES
) -> _Groups | None:
    groups: _Groups = {}
    for file in files:
        parts = split(file)
        if parts is None:
            return None
        subject, image = parts[0], _as_name(parts[1])
        if groups.setdefault(subject, {}).setdefault(image, folder / file) != folder / file:
            return None
    counts = Counter(name for images in groups.values() for name in images)
    rare = min(counts.values()) < _SHARE_OF_SUBJECTS * len(groups)
    return None if rare or len(counts) > most else groups


def _as_name(text: str) -> str:
    """Return the text as a name that an image of a subject can have."""
    name = re.sub(r"\W+", "_", text).strip("_").lower() or "image"
    return f"image_{name}" if name[0].isdigit() else name


def _is_known(name: str) -> bool:
    return looks_like_labels(name) or _IMAGE_WORDS.search(name.lower()) is not None


def _is_sure(groups: _Groups) -> bool:
    """Whether some subjects have all images, one knows a name, and images are told apart."""
    return all(_completeness(groups))


def _completeness(groups: _Groups) -> tuple[float, int, int]:
    """Order layouts: by subjects that have all images, by names that one knows, by subjects."""
    names = {name for images in groups.values() for name in images}
    complete = sum(len(images) == len(names) for images in groups.values())
    known = sum(map(_is_known, names))
    return complete / len(groups), known, len(groups) if len(names) > 1 else 0


def _refuse_many(folder: Path, files: list[Path]) -> None:
    """Raise LayoutError where each subject has an image and masks that are too many to read."""
    groups = _group(folder, files, _by_path_in_folder, most=len(files)) or {}
    names = sorted({name for images in groups.values() for name in images})
    masks = [name for name in names if looks_like_labels(name)]
    others = [name for name in names if name not in masks]
    if not (masks and others and _is_sure(groups)):
        return
    images = next(one for one in groups.values() if len(one) == len(names))
    wanted = (
        f"--glob '{name}={Path(folder, '{subject}', *images[name].relative_to(folder).parts[1:])}'"
        for name in (others[0], masks[0])
    )
    raise LayoutError(
        f"a subject in {str(folder)!r} has {len(names)} images; name those that you want in place "
        f"of the folder, such as {' '.join(wanted)}"
    )


def _one_each(folder: Path, files: list[Path]) -> FoundLayout:
    own = folder.resolve().name
    stems = [(file.parent / _stem(file.name or own)).as_posix() for file in files]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem, count in Counter(stems).items() if count > 1)
        raise LayoutError(
            f"two volumes in {str(folder)!r} are called {twice!r}, with other suffixes; "
            "say with --glob which are meant"
        )
    groups = {stem: {"image": folder / file} for stem, file in zip(stems, files, strict=True)}
    pattern = f"t1={folder}/{{subject}}_t1.nii.gz"
    advice = f"; if several files are one subject, say so with --glob '{pattern}'"
    says = "nothing: each file is a subject"
    return FoundLayout(says, groups, frozenset(), advice if len(files) > 1 else "")
