"""Volumes on another grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from voxloom._errors import TransformError
from voxloom._extras import import_extra
from voxloom.geometry import Affine, Shape3, Space
from voxloom.io import Array
from voxloom.subjects import LABEL, SAMPLING_MAP, Image, Subject

Target = float | Sequence[float] | str | Image | Space


def resample(subject: Subject, target: Target, *, order: int = 1, fill: float = 0.0) -> Subject:
    """Return the subject on another grid.

    The interpolation is that of `scipy.ndimage.affine_transform`. Nothing is smoothed before:
    coarser grids alias, as they do in SimpleITK and nnU-Net.

    Parameters
    ----------
    subject : Subject
        All its images are resampled, also those that do not share a space yet.
    target : number, three numbers, str, Image or Space
        A spacing in mm, by which the middle of the volume keeps its place and the number of
        voxels is what covers it best; or the grid to resample to: that of the image of this
        name, of an image, or a space.
    order : int
        Degree of the splines for intensities, 0 to 5; 1 is linear. Sampling maps take no higher
        one than that, by which weights would fall below zero. Label maps take the nearest voxel
        and keep their dtype; integers become float32 otherwise.
    fill : float
        What intensities are more than half a voxel outside the volume; all else is zero there.

    Raises
    ------
    TransformError
        A ValueError, if the target or the order cannot be used.
    UnknownImageError
        A KeyError, if there is no image of that name.
    MissingExtraError
        An ImportError, if SciPy is not installed.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> voxels = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
    >>> image = resample(Subject(t1=ScalarImage(tensor=voxels)), (2, 1, 1)).t1
    >>> image.array.ravel().tolist(), image.affine[0].tolist()
    ([0.5, 2.5], [2.0, 0.0, 0.0, 0.5])
    """
    _check_order(order)
    changed = {}
    for name, image in subject.get_images_dict(intensity_only=False).items():
        space = _space_of(target, subject, image)
        changed[name] = _to_space(image, space, order, fill)
    return subject.replace(**changed)


def _space_of(target: Any, subject: Subject, image: Image) -> Space:
    if isinstance(target, str):
        return subject.get_image(target).space
    if isinstance(target, Image):
        return target.space
    if isinstance(target, Space):
        return target
    return _with_spacing(image.space, _checked_spacing(target))


def _check_order(order: Any) -> None:
    is_whole = isinstance(order, int | np.integer) and not isinstance(order, bool)
    if not is_whole or order not in range(6):
        raise TransformError(f"order is an integer from 0 to 5, got {order!r}")


def _checked_spacing(target: Any) -> tuple[float, ...]:
    try:
        spacing = tuple(float(mm) for mm in (target if np.ndim(target) else (target,) * 3))
    except (TypeError, ValueError):
        spacing = ()
    if len(spacing) != 3 or not all(math.isfinite(mm) and mm > 0 for mm in spacing):
        raise TransformError(
            f"resample needs a spacing in mm (one or three positive numbers), the name of an "
            f"image, an Image or a Space; got {target!r}"
        )
    return spacing


def _with_spacing(space: Space, spacing: tuple[float, ...]) -> Space:
    zooms = np.array(spacing) / space.spacing
    w, h, d = (max(1, round(n / z)) for n, z in zip(space.spatial_shape, zooms, strict=True))
    shape: Shape3 = (w, h, d)
    affine = space.affine.copy()
    affine[:3, :3] *= zooms
    middle = space.affine[:3, :3] @ ((np.array(space.spatial_shape) - 1) / 2)
    affine[:3, 3] += middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Space(shape, affine)


def _to_space(image: Image, space: Space, order: int, fill: float) -> Image:
    places = np.linalg.solve(image.affine, space.affine).astype(float)  # output to input voxels
    if space.spatial_shape == image.spatial_shape and np.allclose(places, np.eye(4), atol=1e-9):
        return image
    is_label = image.type == LABEL
    voxels = _interpolatable(image.array, is_label)
    out = _empty(space.spatial_shape, voxels)
    degree = {LABEL: 0, SAMPLING_MAP: min(order, 1)}.get(image.type, order)
    for channel, target in zip(voxels, out, strict=True):
        if _is_first_fastest(
            voxels
        ):  # SciPy visits the last axis fastest, and is five times slower
            _interpolate(channel.T, places[[2, 1, 0, 3]][:, [2, 1, 0, 3]], target.T, degree)
        else:
            _interpolate(channel, places, target, degree)
    _fill_outside(out, places, image.spatial_shape, fill if image.type == "intensity" else 0)
    return image.with_data(out.astype(image.dtype) if is_label else out, space.affine)


def _interpolatable(array: Array, is_label: bool) -> Array:
    if is_label and array.dtype != np.float16:  # which SciPy does not take
        return array.view(np.uint8) if array.dtype == bool else array
    return array if array.dtype == np.float64 else array.astype(np.float32)


def _interpolate(channel: Array, places: Affine, out: Array, order: int) -> None:
    ndimage = import_extra("scipy.ndimage", "transforms")
    matrix, offset = places[:3, :3], places[:3, 3]
    is_straight = np.allclose(matrix, np.diag(np.diag(matrix)), rtol=0, atol=1e-12)
    ndimage.affine_transform(
        channel,
        np.diag(matrix) if is_straight else matrix,  # a diagonal is much faster
        offset,
        out.shape,
        output=out,
        order=order,
        mode="nearest",
    )


def _is_first_fastest(voxels: Array) -> bool:
    return voxels.strides[1] < voxels.strides[3]


def _empty(spatial_shape: Shape3, voxels: Array) -> Array:
    """Return room for these channels in another shape, in the same order of the axes."""
    if not _is_first_fastest(voxels):
        return np.empty((len(voxels), *spatial_shape), dtype=voxels.dtype)
    return np.empty((len(voxels), *spatial_shape[::-1]), voxels.dtype).transpose(0, 3, 2, 1)


def _fill_outside(out: Array, places: Affine, shape: Shape3, fill: float) -> None:
    """Write `fill` where a voxel of `out` lies outside the volume it was interpolated from."""
    i, j, k = np.ogrid[tuple(slice(n) for n in out.shape[1:])]
    for (a, b, c, offset), n in zip(places[:3], shape, strict=True):
        steps = [axis * slope for axis, slope in zip((i, j, k), (a, b, c), strict=True) if slope]
        place = sum(steps, offset)  # stays small where an axis does not matter
        outside = np.broadcast_to(abs(place - (n - 1) / 2) > n / 2 + 1e-9, out.shape[1:])
        if outside.any():
            out[:, outside] = fill
