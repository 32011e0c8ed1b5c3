"""Voxel axes that point right, anterior and superior."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from voxloom.subjects import Image, Subject


def canonical(subject: Subject) -> Subject:
    """Return the subject with voxel axes as close to R, A, S as flips and swaps bring them.

    No voxel is interpolated, and every voxel stays where it is in the world. The orientation is
    found by `nibabel.orientations`.

    Parameters
    ----------
    subject : Subject
        All its images are turned.

    Returns
    -------
    Subject
        Images that were canonical are the same as before.

    Examples
    --------
    >>> from voxloom.subjects import ScalarImage
    >>> voxels = np.arange(3.0).reshape(1, 3, 1, 1)
    >>> flipped = ScalarImage(tensor=voxels, affine=np.diag([-1, 1, 1, 1]))
    >>> turned = canonical(Subject(t1=flipped)).t1
    >>> turned.array.ravel().tolist(), turned.orientation, turned.affine[0].tolist()
    ([2.0, 1.0, 0.0], ('R', 'A', 'S'), [1.0, 0.0, 0.0, -2.0])
    """
    images = subject.get_images_dict(intensity_only=False)
    return subject.replace(**{name: _turn(image) for name, image in images.items()})


def _turn(image: Image) -> Image:
    if image.orientation == ("R", "A", "S"):
        return image
    orientations: Any = importlib.import_module("nibabel.orientations")  # takes 150 ms
    turns = orientations.io_orientation(image.affine)
    voxels = orientations.apply_orientation(np.moveaxis(image.array, 0, -1), turns)
    affine = image.affine @ orientations.inv_ornt_aff(turns, image.spatial_shape)
    return image.with_data(np.moveaxis(voxels, -1, 0).copy(order="K"), affine)
