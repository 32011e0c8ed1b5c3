from functools import partial
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import PreparedError
from voxloom.io import write_nifti
from voxloom.prepared._key import subject_key, transform_key
from voxloom.subjects import LabelMap, ScalarImage, Subject

VOXELS = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)


class Scale:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def __call__(self, subject: Subject) -> Subject:
        return subject


def one(subject: Subject) -> Subject:
    return subject


def other(subject: Subject) -> Subject:
    return subject.replace(seen=True)


def test_a_subject_is_known_by_all_that_it_holds() -> None:
    image = ScalarImage(tensor=VOXELS)
    keys = [
        subject_key(subject, settings)
        for subject, settings in [
            (Subject(t1=image), "nifti"),
            (Subject(t1=image), "zarr"),
            (Subject(t2=image), "nifti"),
            (Subject(t1=image, age=1), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS + 1)), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS, affine=np.diag([2, 1, 1, 1]))), "nifti"),
            (Subject(t1=ScalarImage(tensor=VOXELS, scanner="A")), "nifti"),
            (Subject(t1=LabelMap(tensor=VOXELS)), "nifti"),
        ]
    ]
    assert len(set(keys)) == len(keys)
    assert subject_key(Subject(t1=ScalarImage(tensor=VOXELS.copy())), "nifti") == keys[0]


def test_a_copied_file_is_the_same_subject(tmp_path: Path) -> None:
    names = [write_nifti(tmp_path / name, VOXELS) for name in ("a.nii", "b.nii")]
    first, second = (subject_key(Subject(t1=ScalarImage(name)), "") for name in names)
    assert first == second


def test_transforms_are_known_by_what_they_are_and_hold() -> None:
    transforms = [None, one, other, Scale(1), Scale(2), partial(one, 1), partial(other, 1)]
    keys = [transform_key(transform) for transform in transforms]
    assert len(set(keys)) == len(keys)
    assert transform_key(Scale(2)) == keys[4]


def test_state_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(PreparedError, match="cannot be pickled"):
        transform_key(Scale(lambda: None))  # type: ignore[arg-type]
