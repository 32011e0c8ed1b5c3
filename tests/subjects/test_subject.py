"""Subjects: frozen mappings whose images share a space."""

import copy
import pickle
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from voxloom.subjects import LabelMap, ScalarImage, Subject

Voxels = np.ndarray[Any, Any]


def image_at(affine: Any = None, shape: tuple[int, ...] = (1, 10, 20, 30)) -> ScalarImage:
    return ScalarImage(tensor=np.zeros(shape, dtype=np.float32), affine=affine)


@pytest.fixture
def subject() -> Subject:
    seg = LabelMap(tensor=torch.zeros(1, 10, 20, 30, dtype=torch.uint8))
    return Subject(t1=image_at(), seg=seg, t2=image_at(), age=42, num_samples=3)


class Patient(Subject):
    """A kind of subject of the user."""

    def ward(self) -> str:
        return "A"


def test_items_are_attributes_too(subject: Subject) -> None:
    assert subject["t1"] is subject.t1
    assert (subject.age, subject["age"], subject.num_samples) == (42, 42, 3)
    assert list(subject) == ["t1", "seg", "t2", "age", "num_samples"]
    assert "t1" in subject
    assert "t9" not in subject
    assert {"t1", "age"} <= set(dir(subject))
    assert "keys: ('t1', 'seg', 't2', 'age', 'num_samples'); images: 3" in repr(subject)


def test_a_mapping_and_keywords_can_be_given() -> None:
    subject = Subject({"t1": image_at(), "site number": 3, "age": 1}, age=2)
    assert (subject["site number"], subject.age) == (3, 2)


def test_images_are_found_by_kind_and_name(subject: Subject) -> None:
    assert subject.get_images() == [subject.t1, subject.t2]
    assert subject.get_images(intensity_only=False) == [subject.t1, subject.seg, subject.t2]
    assert subject.get_images(include=["t2", "seg"]) == [subject.t2]
    assert subject.get_images(exclude=["t2"]) == [subject.t1]
    assert subject.get_images_dict(intensity_only=False, exclude=["t1"]) == {
        "seg": subject.seg,
        "t2": subject.t2,
    }
    assert subject.get_images_names() == ["t1", "seg", "t2"]
    assert subject.get_first_image() is subject.t1
    assert subject.get_image("seg") is subject.seg


@pytest.mark.parametrize("name", ["t9", "age"])
def test_an_unknown_image_is_a_key_error_that_names_the_images(subject: Subject, name: str) -> None:
    with pytest.raises(KeyError, match=rf"no image '{name}'; it has \['t1', 'seg', 't2'\]"):
        subject.get_image(name)


def test_unknown_items_and_attributes_name_those_there_are(subject: Subject) -> None:
    with pytest.raises(KeyError, match=r"no 't9'; it has \['t1', 'seg'"):
        _ = subject["t9"]
    with pytest.raises(AttributeError, match=r"\['t1', 'seg', .* no attribute 't9'"):
        _ = subject.t9


def test_shapes_are_those_of_all_images(subject: Subject) -> None:
    assert subject.shape == (1, 10, 20, 30)
    assert subject.spatial_shape == (10, 20, 30)
    assert subject.spacing == (1, 1, 1)
    subject.check_consistent_space()


def test_shape_tells_which_images_differ() -> None:
    subject = Subject(t1=image_at(), dwi=image_at(shape=(3, 10, 20, 30)))
    assert subject.spatial_shape == (10, 20, 30)
    with pytest.raises(RuntimeError, match=r"differ in shape: .*'dwi': \(3, 10, 20, 30\)"):
        _ = subject.shape
    other = Subject(t1=image_at(), t2=image_at(shape=(1, 10, 20, 31)))
    for check in (lambda: other.spatial_shape, other.check_consistent_space, lambda: other[0:5]):
        with pytest.raises(
            RuntimeError, match=r"differ in spatial_shape.* the same spatial shape$"
        ):
            check()


def test_shapes_never_decode(write: Any) -> None:
    subject = Subject(t1=ScalarImage(write("t1.nii.gz", damaged=True)))
    assert (subject.shape, subject.spatial_shape) == ((2, 6, 7, 8), (6, 7, 8))
    subject.check_consistent_space()
    with pytest.raises(OSError, match=r"t1\.nii\.gz"):
        subject.load()


def shifted(voxels: float) -> Voxels:
    affine = np.diag([2.0, 2, 3, 1])
    affine[2, 3] = 3 * voxels
    return affine


@pytest.mark.parametrize("builtin", [RuntimeError, ValueError])
def test_the_distance_of_images_is_told_in_mm_and_voxels(builtin: type[Exception]) -> None:
    subject = Subject(
        t1=image_at(shifted(0)), near=image_at(shifted(0.04)), far=image_at(shifted(0.5))
    )
    with pytest.raises(
        builtin, match=r"'far' .* 't1' .* 1\.5 mm \(0\.5 voxels\) .*=0\.05 .*ToCanonical"
    ):
        subject.check_consistent_space()


@pytest.mark.parametrize("off", [0.04, 0.06])
def test_the_tolerance_is_a_twentieth_of_a_voxel(off: float) -> None:
    subject = Subject(t1=image_at(shifted(0)), t2=image_at(shifted(off)))
    if off < 0.05:
        assert subject.space is subject.space
    else:
        with pytest.raises(RuntimeError, match=r"0\.06 voxels"):
            _ = subject.space


def test_the_tolerance_is_about_every_corner_not_the_first() -> None:
    turned = np.eye(4)
    turned[0, 1] = 0.01
    subject = Subject(t1=image_at(np.eye(4)), t2=image_at(turned))
    with pytest.raises(RuntimeError, match=r"0\.19 mm \(0\.19 voxels\)"):
        subject.check_consistent_space()
    subject.replace(space_tolerance=0.2).check_consistent_space()


def test_the_tolerance_can_be_set_and_is_kept() -> None:
    images = {"t1": image_at(shifted(0)), "t2": image_at(shifted(0.5))}
    subject = Subject(images, space_tolerance=0.6)
    for kept in (
        subject,
        subject.replace(age=3),
        subject.without("t2").replace(t2=images["t2"]),
        subject[2:5],
        pickle.loads(pickle.dumps(subject)),
    ):
        assert kept.space_tolerance == 0.6
        kept.check_consistent_space()


@pytest.mark.parametrize("tolerance", [-1, "wide", None, float("nan")])
def test_a_tolerance_is_a_number_of_voxels(tolerance: Any) -> None:
    with pytest.raises(ValueError, match=f"0 or more, got {tolerance!r}"):
        Subject(t1=image_at(), space_tolerance=tolerance)


@pytest.mark.parametrize("name", ["t1", "age", "new"])
def test_assigning_raises_and_names_replace(subject: Subject, name: str) -> None:
    for builtin in (TypeError, AttributeError):
        with pytest.raises(builtin, match=rf"{name} cannot be assigned.*replace\({name}="):
            setattr(subject, name, 3)
        with pytest.raises(builtin, match=rf"{name} cannot be assigned.*replace\({name}="):
            subject[name] = 3  # type: ignore[index]
        with pytest.raises(builtin, match=rf"without\('{name}'\), or subject\.replace"):
            del subject[name]  # type: ignore[attr-defined]
        with pytest.raises(builtin, match=rf"without\('{name}'\), or subject\.replace"):
            delattr(subject, name)


@pytest.mark.parametrize("name", ["add_image", "remove_image", "update", "pop"])
def test_methods_that_would_change_a_subject_name_replace(subject: Subject, name: str) -> None:
    assert not hasattr(subject, name)
    with pytest.raises(TypeError, match=rf"it has no {name}; .*subject\.replace"):
        getattr(subject, name)


@pytest.mark.parametrize("name", ["keys", "shape", "get", "replace", "load", "_items", "update"])
def test_names_that_would_hide_a_method_are_refused(subject: Subject, name: str) -> None:
    with pytest.raises(ValueError, match=f"called {name!r}.*choose another name"):
        Subject({"t1": image_at(), name: 3})
    with pytest.raises(ValueError, match=f"called {name!r}"):
        subject.replace(**{name: 3})


def test_names_that_hide_a_method_of_a_subclass_are_refused_there() -> None:
    assert Subject(t1=image_at(), ward=3).ward == 3
    with pytest.raises(ValueError, match="called 'ward'"):
        Patient(t1=image_at(), ward=3)


@pytest.mark.parametrize("builtin", [ValueError, TypeError])
def test_what_makes_no_subject_is_refused(builtin: type[Exception]) -> None:
    with pytest.raises(builtin, match=r"at least one image, got only \['a'\]"):
        Subject(a=0)
    with pytest.raises(builtin, match="at least one image"):
        Subject()
    with pytest.raises(builtin, match="one mapping, or keywords, got 0"):
        Subject(0)  # type: ignore[arg-type]
    with pytest.raises(builtin, match="names in a subject are text, got 3"):
        Subject({3: image_at()})  # type: ignore[dict-item]


def test_replace_and_without_leave_the_subject_as_it_was(subject: Subject) -> None:
    image = image_at()
    changed = subject.replace(t1=image, sex="F").without("age", "seg")
    assert list(changed) == ["t1", "t2", "num_samples", "sex"]
    assert changed.t1 is image
    assert subject.t1 is not image
    assert subject.age == 42
    with pytest.raises(KeyError, match="no 't9'"):
        subject.without("t9")
    with pytest.raises(ValueError, match="at least one image"):
        subject.without("t1", "seg", "t2")


def test_the_class_of_a_subject_is_kept() -> None:
    patient = Patient(t1=image_at())
    for kept in (
        patient.replace(age=3),
        patient.replace(age=3).without("age"),
        patient[0:5],
        copy.copy(patient),
        copy.deepcopy(patient),
        pickle.loads(pickle.dumps(patient)),
    ):
        assert type(kept) is Patient
        assert kept.ward() == "A"


def test_slicing_crops_every_image(subject: Subject) -> None:
    patch = subject[0:5, :, 2:-3]
    assert patch.spatial_shape == (5, 20, 25)
    assert patch.seg.affine[:3, 3].tolist() == [0, 0, 2]
    assert patch.age == 42
    assert subject.spatial_shape == (10, 20, 30)


def test_a_deep_copy_shares_nothing(subject: Subject) -> None:
    subject = subject.replace(notes=["a"])
    copied = copy.deepcopy(subject)
    copied.t1.data[:] = 5
    copied.notes.append("b")
    assert float(subject.t1.data.max()) == 0
    assert subject.notes == ["a"]
    assert copy.copy(subject).t1 is subject.t1


def test_a_pickled_subject_has_the_same_items(subject: Subject) -> None:
    sent = pickle.loads(pickle.dumps(subject))
    assert (list(sent), sent.age, sent.seg.type) == (list(subject), 42, "label")
    assert torch.equal(sent.t1.data, subject.t1.data)


def test_load_decodes_all_images_and_keeps_them(write: Any) -> None:
    subject = Subject(t1=ScalarImage(write("a.nii")), seg=LabelMap(write("b.nii.gz")))
    assert subject.load() is subject
    assert subject.t1.is_loaded
    assert subject.seg.is_loaded


@pytest.mark.parametrize(
    ("more", "text"),
    [({"subject_id": "s1"}, "subject 's1'"), ({"name": "n"}, "subject 'n'"), ({}, "images")],
)
def test_messages_name_the_subject(more: dict[str, str], text: str) -> None:
    with pytest.raises(KeyError, match=text):
        Subject(t1=image_at(), **more).get_image("t2")


def test_messages_name_the_first_file_of_a_subject_without_a_name(write: Any) -> None:
    with pytest.raises(KeyError, match=r"the subject of '.*t1\.nii'"):
        Subject(t1=ScalarImage(write())).get_image("t2")


def test_subjects_are_equal_to_themselves_only(subject: Subject) -> None:
    assert subject != copy.copy(subject)
    assert len({subject, copy.copy(subject)}) == 2


def test_one_can_watch_a_subject_go() -> None:
    subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 2, 2, 2))))
    seen = weakref.ref(subject)
    assert seen() is subject
    del subject
    assert seen() is None


@pytest.mark.parametrize("name", ["register", "mro"])
def test_names_that_hide_nothing_of_a_subject_are_allowed(name: str) -> None:
    subject = Subject({"t1": ScalarImage(tensor=np.zeros((1, 2, 2, 2))), name: 3})
    assert getattr(subject, name) == subject[name] == 3


@pytest.mark.parametrize(("depth", "expected"), [(1, True), (2, False)])
def test_a_subject_of_single_slices_is_2d(depth: int, expected: bool) -> None:
    subject = Subject(t1=ScalarImage(tensor=np.zeros((1, 3, 4, depth))))
    assert subject.is_2d() is expected


def test_unload_forgets_the_voxels_of_all_images(write: Any) -> None:
    subject = Subject(t1=ScalarImage(write("t1.nii")), t2=ScalarImage(write("t2.nii.gz")))
    subject.load().unload()
    assert [image.is_loaded for image in (subject.t1, subject.t2)] == [False, False]
