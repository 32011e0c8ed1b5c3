"""Intensities on one scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxloom._errors import TransformError
from voxloom.io import Array
from voxloom.subjects import Image, Subject

Mask = str | Callable[[Array], Any] | None
_Scale = Callable[[Array, Array], tuple[float, float]]  # voxels, those that count -> slope, shift


def z_score(subject: Subject, mask: Mask = None, images: Sequence[str] | None = None) -> Subject:
    """Return the subject with intensities of mean 0 and standard deviation 1, each channel.

    Parameters
    ----------
    subject : Subject
        A loaded or unloaded volume.
    mask : str or callable, optional
        Which voxels the mean and the deviation are of: those where the image of this name is
        above zero, or where ``mask(channel)`` is true for a ``(W, H, D)`` channel. By default
        all. All voxels are normalised.
    images : sequence of str, optional
        Which images; by default all of type intensity.

    Returns
    -------
    Subject
        Those images are float32.

    Raises
    ------
    TransformError
        A ValueError, if the voxels that count are none, or all the same.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(ct=ScalarImage(tensor=np.array([0.0, 0, 1, 3]).reshape(1, 4, 1, 1)))
    >>> z_score(subject, mask=lambda channel: channel > 0).ct.array.ravel().tolist()
    [-2.0, -2.0, -1.0, 1.0]
    """

    def scale(channel: Array, counted: Array) -> tuple[float, float]:
        mean, deviation = float(counted.mean(dtype=float)), float(counted.std(dtype=float))
        return (1 / deviation if deviation else np.nan), mean

    return _scaled(subject, scale, mask, images, shift_after=0.0)


def rescale_percentiles(
    subject: Subject,
    percentiles: tuple[float, float] = (0.5, 99.5),
    to: tuple[float, float] = (0.0, 1.0),
    mask: Mask = None,
    images: Sequence[str] | None = None,
) -> Subject:
    """Return the subject with two percentiles of each channel brought to two values.

    What lies beyond is clipped.

    Parameters
    ----------
    subject : Subject
        A loaded or unloaded volume.
    percentiles : (low, high)
        From 0 to 100, interpolated linearly.
    to : (low, high)
        The values they become.
    mask : str or callable, optional
        Which voxels the percentiles are of, as for `z_score`.
    images : sequence of str, optional
        Which images; by default all of type intensity.

    Returns
    -------
    Subject
        Those images are float32.

    Raises
    ------
    TransformError
        A ValueError, if the percentiles do not rise or cannot be told apart.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.arange(5.0).reshape(1, 5, 1, 1)))
    >>> rescale_percentiles(subject, (25, 75)).t1.array.ravel().tolist()
    [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise TransformError(f"percentiles rise, from 0 to 100; got {percentiles!r}")

    def scale(channel: Array, counted: Array) -> tuple[float, float]:
        low, high = (float(value) for value in np.percentile(counted, percentiles))
        return ((to[1] - to[0]) / (high - low) if high > low else np.nan), low

    return _scaled(subject, scale, mask, images, shift_after=to[0], limits=to)


def window(
    subject: Subject,
    centre: float,
    width: float,
    to: tuple[float, float] = (0.0, 1.0),
    images: Sequence[str] | None = None,
) -> Subject:
    """Return the subject seen through a window of intensities, as radiologists set it for CT.

    ``centre - width / 2`` becomes ``to[0]``, ``centre + width / 2`` becomes ``to[1]``; what lies
    beyond is clipped.

    Parameters
    ----------
    subject : Subject
        A loaded or unloaded volume.
    centre, width : float
        In the units of the image, Hounsfield for CT: 40 and 400 for soft tissue.
    to : (low, high)
        The values at the edges of the window.
    images : sequence of str, optional
        Which images; by default all of type intensity.

    Returns
    -------
    Subject
        Those images are float32.

    Raises
    ------
    TransformError
        A ValueError, if the width is not positive.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> voxels = np.array([-1000, -160, 40, 1000], dtype=np.int16).reshape(1, 4, 1, 1)
    >>> window(Subject(ct=ScalarImage(tensor=voxels)), 40, 400).ct.array.ravel().tolist()
    [0.0, 0.0, 0.5, 1.0]
    """
    if not width > 0:
        raise TransformError(f"the width of a window is positive, got {width!r}")
    slope, low = (to[1] - to[0]) / width, centre - width / 2
    return _scaled(subject, lambda *_: (slope, low), None, images, shift_after=to[0], limits=to)


def _scaled(
    subject: Subject,
    scale: _Scale,
    mask: Mask,
    names: Sequence[str] | None,
    *,
    shift_after: float,
    limits: tuple[float, float] | None = None,
) -> Subject:
    chosen = (
        subject.get_images_dict() if names is None else {n: subject.get_image(n) for n in names}
    )
    changed = {}
    for name, image in chosen.items():
        out = image.array.astype(np.float32)  # keeps the order of the memory
        for index, (channel, target) in enumerate(zip(image.array, out, strict=True)):
            counted = _counted(subject, name, channel, index, mask)
            slope, shift = scale(channel, counted)
            _check_slope(subject, name, slope)
            target -= np.float32(shift)
            target *= np.float32(slope)
            target += np.float32(shift_after)
        changed[name] = image.with_data(out if limits is None else _clip(out, limits))
    return subject.replace(**changed)


def _clip(array: npt.NDArray[np.float32], limits: tuple[float, float]) -> Array:
    return np.clip(array, min(limits), max(limits), out=array)


def _counted(subject: Subject, name: str, channel: Array, index: int, mask: Mask) -> Array:
    if mask is None:
        return channel
    if isinstance(mask, str):
        inside = _mask_channel(subject.get_image(mask), index) > 0
    else:
        inside = np.asarray(mask(channel), dtype=bool)
    if inside.shape != channel.shape:
        raise TransformError(
            f"the mask for image {name!r} of {subject.describe()} has shape {inside.shape}, "
            f"the image {channel.shape}; resample one of them to the other"
        )
    if not inside.any():
        raise TransformError(
            f"no voxel of image {name!r} of {subject.describe()} lies in the mask {mask!r}; "
            f"check the mask, or leave the subject out"
        )
    counted: Array = channel[inside]
    return counted


def _mask_channel(image: Image, index: int) -> Array:
    channel: Array = image.array[index if image.shape[0] > 1 else 0]
    return channel


def _check_slope(subject: Subject, name: str, slope: float) -> None:
    if not np.isfinite(slope):
        raise TransformError(
            f"the voxels of image {name!r} of {subject.describe()} cannot be told apart (all "
            f"that count are the same, or not finite), so they have no scale; check the image "
            f"and the mask, or leave the subject out"
        )
