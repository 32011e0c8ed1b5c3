"""Volumes of one size."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxloom._errors import TransformError
from voxloom.geometry import Box, Shape3
from voxloom.patches import PaddingMode, copy_image_box, parse_padding_mode
from voxloom.subjects import LABEL, SAMPLING_MAP, Image, Subject


def crop_or_pad(
    subject: Subject,
    spatial_shape: int | tuple[int, int, int],
    padding_mode: PaddingMode = "constant",
) -> Subject:
    """Return the subject cropped or padded, axis by axis, about its middle.

    Voxel ``n // 2`` of each axis becomes voxel ``size // 2``, so that padding and cropping back
    gives the same volume. Every voxel stays where it is in the world.

    Parameters
    ----------
    subject : Subject
        All its images are cropped or padded.
    spatial_shape : int or (W, H, D)
        Number of voxels along each axis.
    padding_mode : 'constant', 'edge', 'reflect', number
        What lies outside: zeros, the edge, a reflection, or a number. A number is for
        intensities; label maps get zeros then.

    Raises
    ------
    TransformError
        A ValueError, unless the shape is one or three positive integers.
    PaddingError
        A ValueError, if there is no such padding mode.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> subject = Subject(t1=ScalarImage(tensor=np.ones((1, 4, 6, 4))))
    >>> image = crop_or_pad(subject, (4, 4, 6)).t1
    >>> image.spatial_shape, image.affine[:3, 3].tolist()
    ((4, 4, 6), [0.0, 1.0, -1.0])
    """
    size = _checked(spatial_shape)
    mode = parse_padding_mode(padding_mode)
    i, j, k = (n // 2 - m // 2 for n, m in zip(subject.spatial_shape, size, strict=True))
    box = Box.at((i, j, k), size)
    images = subject.get_images_dict(intensity_only=False)
    return subject.replace(**{name: _within(image, box, mode) for name, image in images.items()})


def _within(image: Image, box: Box, mode: PaddingMode | None) -> Image:
    if image.type in (LABEL, SAMPLING_MAP) and not isinstance(mode, str):
        mode = "constant"
    out = np.empty((image.shape[0], *box.size), dtype=image.dtype)
    copy_image_box(image, box, out, mode)
    return image.with_data(out, image.space.crop(box).affine)


def _checked(shape: Any) -> Shape3:
    sizes = tuple(shape) if hasattr(shape, "__len__") else (shape,) * 3
    if len(sizes) != 3 or not all(_is_positive(n) for n in sizes):
        raise TransformError(
            f"spatial_shape is a positive integer or three of them (W, H, D), got {shape!r}"
        )
    w, h, d = (int(n) for n in sizes)
    return w, h, d


def _is_positive(number: object) -> bool:
    return not isinstance(number, bool) and hasattr(number, "__index__") and int(number) > 0
