import pickle
import subprocess
import sys

import nilearn.datasets
import numpy as np
import pytest

from voxloom._errors import GeometryError, MissingExtraError, VolumeNotFoundError
from voxloom.datasets import MNI152, _mni152
from voxloom.geometry import Box
from voxloom.subjects import Subject
from voxloom.testing import check_reader


@pytest.fixture(scope="module")
def subject() -> Subject:
    return MNI152()


def test_it_is_the_template_that_nilearn_loads(subject: Subject) -> None:
    theirs = nilearn.datasets.load_mni152_template(resolution=1)
    np.testing.assert_array_equal(subject.t1.affine, theirs.affine)
    np.testing.assert_allclose(subject.t1.array[0] / 255, theirs.get_fdata(), atol=1e-6)


def test_types_and_space(subject: Subject) -> None:
    assert {name: image.type for name, image in subject.items()} == {
        "t1": "intensity",
        "gm": "sampling_map",
        "wm": "sampling_map",
        "tissues": "label",
        "brain": "label",
    }
    assert {image.shape for image in subject.values()} == {(1, 197, 233, 189)}
    assert {image.dtype for image in subject.values()} == {np.dtype(np.uint8)}
    assert subject.spacing == (1.0, 1.0, 1.0)


def test_tissues_are_the_most_probable_class(subject: Subject) -> None:
    grey, white = subject.gm.array.astype(int), subject.wm.array.astype(int)
    classes = np.stack([255 - grey - white, grey, white])
    assert classes.min() >= 0
    np.testing.assert_array_equal(subject.tissues.array, classes.argmax(axis=0))


def test_tissues_have_the_volumes_of_an_adult_brain(subject: Subject) -> None:
    _, grey, white = np.bincount(subject.tissues.array.ravel()) / 1e6
    assert 0.8 < grey < 1.2
    assert 0.5 < white < 0.8


def test_the_brain_holds_the_tissues_and_its_fluid(subject: Subject) -> None:
    brain, tissues = subject.brain.array > 0, subject.tissues.array > 0
    assert 1.7 < brain.sum() / 1e6 < 2.0
    assert (tissues & ~brain).sum() < 0.01 * tissues.sum()
    np.testing.assert_array_equal(subject.t1.array > 0, brain)


def test_opening_reads_no_voxels() -> None:
    assert not any(image.is_loaded for image in MNI152().values())


def test_a_region_is_that_part_of_the_whole_also_after_pickling(subject: Subject) -> None:
    box = Box((90, 100, 80), (110, 130, 95))
    for name in ("tissues", "brain"):
        source = pickle.loads(pickle.dumps(subject[name].source))
        region = source.read(box)
        np.testing.assert_array_equal(region, subject[name].array[(slice(None), *box.slices)])
        with pytest.raises(GeometryError, match="does not lie inside it"):
            source.read(Box((0, 0, 0), (198, 1, 1)))


def test_derived_labels_keep_the_contract_of_a_reader() -> None:
    check_reader(MNI152().brain.source, boxes=3)


def test_nilearn_is_found_and_not_imported() -> None:
    code = (
        "import sys; from voxloom.datasets import MNI152; MNI152(); print('nilearn' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert said.stdout.strip() == "False"


def test_without_nilearn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mni152, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'voxloom\[demo\]'"):
        MNI152()


def test_a_nilearn_without_the_files_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(_mni152._FILES, "gm", "elsewhere.nii.gz")
    with pytest.raises(VolumeNotFoundError, match=r"does not carry .*elsewhere\.nii\.gz"):
        MNI152()
