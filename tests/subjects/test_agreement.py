"""What images of a subject have in common, as scripts of the field ask for it."""

from typing import Any

import numpy as np
import pytest

from voxloom._errors import SpaceMismatchError, SubjectError, UnknownImageError
from voxloom.subjects import LabelMap, ScalarImage, Subject


def subject_with(affine: Any, **more: Any) -> Subject:
    voxels = np.zeros((1, 4, 5, 6), dtype=np.uint8)
    seg = LabelMap(tensor=voxels, affine=affine, **more)
    return Subject(t1=ScalarImage(tensor=voxels), seg=seg, subject_id="ann")


def test_images_are_asked_for_by_type() -> None:
    subject = subject_with(np.eye(4))
    assert subject.get_scalar_image("t1") is subject.t1
    assert subject.get_label_map(image_name="seg") is subject.get_image(image_name="seg")
    for builtin in (TypeError, ValueError):
        with pytest.raises(builtin, match="'seg' of subject 'ann' is not a scalar image, its"):
            subject.get_scalar_image("seg")
        with pytest.raises(builtin, match="'t1' of subject 'ann' is not a label map, its type"):
            subject.get_label_map("t1")
    with pytest.raises(UnknownImageError, match=r"has no image 'flair'; it has \['t1', 'seg'\]"):
        subject.get_scalar_image("flair")


@pytest.mark.parametrize("attribute", ["spacing", "affine", "origin"])
def test_numbers_are_compared_within_a_tolerance(attribute: str) -> None:
    affine = np.eye(4)
    affine[0, 0] += 1e-3
    affine[0, 3] += 1e-3
    subject = subject_with(affine)
    with pytest.raises(RuntimeError, match=rf"images of subject 'ann' differ in {attribute}: "):
        subject.check_consistent_attribute(attribute)
    subject.check_consistent_attribute(attribute, relative_tolerance=0, absolute_tolerance=2e-3)
    subject.check_consistent_attribute(attribute, relative_tolerance=2e-3, absolute_tolerance=2e-3)
    subject.check_consistent_orientation()
    subject.check_consistent_spatial_shape()


def test_what_is_no_number_is_compared_too() -> None:
    subject = subject_with(np.diag([-1.0, 1, 1, 1]))
    with pytest.raises(SpaceMismatchError, match=r"differ in type: {'t1': 'intensity', 'seg'"):
        subject.check_consistent_attribute("type")
    with pytest.raises(SpaceMismatchError, match=r"differ in orientation: .*'L', 'A', 'S'"):
        subject.check_consistent_orientation()
    with pytest.raises(SpaceMismatchError, match="differ in affine"):
        subject.check_consistent_affine()
    subject.check_consistent_attribute("path")  # None for both


def test_different_shapes_are_told() -> None:
    subject = Subject(
        t1=ScalarImage(tensor=np.zeros((1, 4, 5, 6))), t2=ScalarImage(tensor=np.zeros((1, 4, 5, 7)))
    )
    for check in (
        subject.check_consistent_spatial_shape,
        lambda: subject.check_consistent_attribute("shape"),
    ):
        with pytest.raises(SpaceMismatchError, match=r"differ in .*shape: {'t1': \(.*7\)"):
            check()


def test_an_attribute_that_no_image_has_is_refused() -> None:
    with pytest.raises(SubjectError, match="images have no attribute 'colour'"):
        subject_with(np.eye(4)).check_consistent_attribute("colour")
