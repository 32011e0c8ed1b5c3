"""What the images of one subject have in common, and errors where they have not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from voxloom._errors import SpaceMismatchError, SubjectError
from voxloom.geometry import Space
from voxloom.subjects._keys import LABEL

if TYPE_CHECKING:
    from voxloom.subjects._image import Image
    from voxloom.subjects._subject import Subject


def image_of_type(subject: Subject, name: str, type: str) -> Image:
    """Return an image of a subject, which must be of this type.

    Raises
    ------
    UnknownImageError
        If there is no such image.
    SubjectError
        If it is of another type.
    """
    image = subject.get_image(name)
    if image.type != type:
        raise SubjectError(
            f"image {name!r} of {subject.describe()} is not a "
            f"{'label map' if type == LABEL else 'scalar image'}, its type is {image.type!r}; "
            f"get_image({name!r}) returns it whatever it is"
        )
    return image


def check_attribute(subject: Subject, attribute: str, relative: float, absolute: float) -> None:
    """Raise unless an attribute is the same in all images, within these tolerances.

    Raises
    ------
    SpaceMismatchError
        If it is not.
    SubjectError
        If images have no such attribute.
    """
    images = subject.get_images_dict(intensity_only=False)
    if not all(hasattr(image, attribute) for image in images.values()):
        raise SubjectError(f"images have no attribute {attribute!r}; 'spacing' is one they have")
    values = {name: getattr(image, attribute) for name, image in images.items()}
    first = next(iter(values.values()))
    if not all(_is_close(value, first, relative, absolute) for value in values.values()):
        raise SpaceMismatchError(
            f"images of {subject.describe()} differ in {attribute}: {values}; "
            f"resample them to one of them"
        )


def _is_close(one: Any, other: Any, relative: float, absolute: float) -> bool:
    ours, theirs = np.asarray(one), np.asarray(other)
    if ours.dtype.kind in "biuf" and theirs.dtype.kind in "biuf" and ours.shape == theirs.shape:
        return np.allclose(ours, theirs, rtol=relative, atol=absolute)
    return bool(one == other)


def shared_value(subject: Subject, attribute: str) -> Any:
    """Return an attribute that is equal in all images.

    Raises
    ------
    SpaceMismatchError
        If it is not.
    """
    images = subject.get_images_dict(intensity_only=False)
    values = {name: getattr(image, attribute) for name, image in images.items()}
    if len(set(values.values())) > 1:
        raise SpaceMismatchError(
            f"images of {subject.describe()} differ in {attribute}: {values}; resample them to one "
            f"of them, or crop or pad them, so that all have the same {attribute.replace('_', ' ')}"
        )
    return next(iter(values.values()))


def shared_space(subject: Subject, tolerance: float) -> Space:
    """Return the space of the first image, in which all others lie, within so many voxels.

    Raises
    ------
    SpaceMismatchError
        If one does not.
    """
    _ = subject.spatial_shape
    images = iter(subject.get_images_dict(intensity_only=False).items())
    first_name, first = next(images)
    space = first.space
    for name, image in images:
        off = space.distance_voxels(image.space)
        if off > tolerance:
            raise SpaceMismatchError(
                f"image {name!r} of {subject.describe()} does not lie where {first_name!r} does: "
                f"a corner is {space.distance_mm(image.space):.3g} mm ({off:.3g} voxels) away, "
                f"more than space_tolerance={tolerance} voxels; resample it to {first_name!r} "
                f"(voxloom.transforms, or TorchIO's ToCanonical and Resample), or set "
                f"Subject(..., space_tolerance=...) if the offset does not matter"
            )
    return space
