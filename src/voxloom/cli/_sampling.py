"""From what was typed to a sampler."""

from __future__ import annotations

from typing import Final

from voxloom._errors import CommandError, ProbabilityError, VolumeReadError
from voxloom.geometry import Shape3
from voxloom.patches import LabelSampler, PatchSampler, UniformSampler, WeightedSampler
from voxloom.subjects import LABEL, SAMPLING_MAP, CheckReport, Subject

_NAMES: Final = ("auto", "uniform", "label", "weighted")
_USUAL: Final = 96
_STEP: Final = 16


def choose_patch_size(text: str | None, report: CheckReport) -> Shape3:
    """Return the size that was asked for, or one that fits in every subject.

    Without a wish: at most 96 along each axis and at most two thirds of the smallest volume, so
    that patches differ, and a multiple of 16, as networks that halve the volume want it.

    Raises
    ------
    CommandError
        If the text is not one number or three.
    VolumeReadError
        If no volume can be read to fit the size to.
    """
    if text is not None:
        return parse_patch_size(text)
    shapes = [row.spatial_shape for row in report.rows if row.spatial_shape is not None]
    if not shapes:
        why = next((row.problem for row in report.rows if row.problem), "there is none")
        raise VolumeReadError(f"no volume could be read: {why}")
    w, h, d = (_usual_size(min(lengths)) for lengths in zip(*shapes, strict=True))
    return w, h, d


def parse_patch_size(text: str) -> Shape3:
    """Return the voxels along each axis.

    Raises
    ------
    CommandError
        If the text is not one number or three.

    Examples
    --------
    >>> parse_patch_size("96"), parse_patch_size("96,96,64")
    ((96, 96, 96), (96, 96, 64))
    """
    parts = text.replace("x", ",").split(",")
    if len(parts) not in (1, 3) or not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise CommandError(f"--patch-size is one number or three, as 96 or 96,96,64; got {text!r}")
    sizes = [int(part) for part in parts] * (3 // len(parts))
    return sizes[0], sizes[1], sizes[2]


def choose_sampler(
    name: str, patch_size: Shape3, subject: Subject, image: str | None, shares: str | None
) -> PatchSampler:
    """Return the sampler that was asked for.

    Parameters
    ----------
    name : {'auto', 'uniform', 'label', 'weighted'}
        Which; ``'auto'`` is by label where there is a label map, else uniform.
    patch_size : (w, h, d)
        Size of its patches.
    subject : Subject
        One of the subjects, which says which images there are.
    image : str, optional
        Label map or sampling map; the first of its type if None.
    shares : str, optional
        How often each label is the centre, as ``'0=1,1=2'``.

    Raises
    ------
    CommandError
        If these do not go together.

    Examples
    --------
    >>> import numpy as np
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 8, 8, 8))))
    >>> choose_sampler("auto", (4, 4, 4), subject, None, None)
    UniformSampler(patch_size=(4, 4, 4), padding_mode=None)
    """
    if name not in _NAMES:
        raise CommandError(f"--sampler is {', '.join(_NAMES)}; got {name!r}")
    labels, weights = _names_of(subject, LABEL), _names_of(subject, SAMPLING_MAP)
    if name == "auto":
        name = "label" if labels or shares else "uniform"
    if shares is not None and name != "label":
        raise CommandError(f"--shares goes with --sampler label, not with {name!r}")
    if name == "uniform":
        return UniformSampler(patch_size)
    everything = list(subject.get_images_dict(intensity_only=False))
    if image is not None and image not in everything:
        raise CommandError(f"--map names {image!r}, and the images are {', '.join(everything)}")
    candidates = [image] if image else labels if name == "label" else weights
    if not candidates:
        raise CommandError(
            f"--sampler {name} needs an image to sample from, and none is marked as "
            f"{'a label map (--label)' if name == 'label' else 'a sampling map'}; "
            f"name one with --map: {', '.join(everything)}"
        )
    if name == "weighted":
        return WeightedSampler(patch_size, candidates[0])
    try:
        return LabelSampler(patch_size, candidates[0], parse_shares(shares))
    except ProbabilityError as error:
        raise CommandError(f"--shares cannot be used: {error}") from error


def parse_shares(text: str | None) -> dict[int, float] | None:
    """Return how often each label is asked for.

    Raises
    ------
    CommandError
        If the text is not ``LABEL=SHARE``, with commas between several.

    Examples
    --------
    >>> parse_shares("0=1, 2=0.5")
    {0: 1.0, 2: 0.5}
    """
    if text is None:
        return None
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {int(label): float(share) for label, share in pairs}
    except ValueError as error:
        raise CommandError(f"--shares is LABEL=SHARE, as '0=1,1=2'; got {text!r}") from error


def describe_sampler(sampler: PatchSampler) -> str:
    """Return what a user would write in Python for this sampler.

    Examples
    --------
    >>> describe_sampler(UniformSampler((96, 96, 64)))
    'UniformSampler((96, 96, 64))'
    """
    size = sampler.patch_size
    shown = repr(size[0] if len({*size}) == 1 else size)
    if isinstance(sampler, LabelSampler):
        shares = sampler.label_probabilities
        more = "" if shares is None else f", {dict(shares)!r}"
        return f"LabelSampler({shown}, {sampler.label_name!r}{more})"
    if isinstance(sampler, WeightedSampler):
        return f"WeightedSampler({shown}, {sampler.probability_map!r})"
    return f"{type(sampler).__name__}({shown})"


def _usual_size(length: int) -> int:
    room = min(_USUAL, 2 * length // 3)
    return room - room % _STEP if room >= _STEP else min(length, _STEP)


def _names_of(subject: Subject, kind: str) -> list[str]:
    images = subject.get_images_dict(intensity_only=False)
    return [name for name, image in images.items() if image.type == kind]
