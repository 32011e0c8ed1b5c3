"""Checking a data set: what headers say, and whether a training would stop."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import LabelMap, ScalarImage, Subject, SubjectsDataset
from voxloom._errors import PatchSizeError
from voxloom.io import write_nifti
from voxloom.subjects import CheckReport

Write = Callable[..., Path]


def codes(report: CheckReport) -> list[tuple[str, str]]:
    return [(finding.grade, finding.code) for finding in report.findings]


def test_a_good_data_set_has_a_row_for_each_image_and_nothing_stays_open(volume: Write) -> None:
    subjects = [
        Subject(t1=ScalarImage(volume(f"{n}.nii")), seg=LabelMap(volume(f"{n}s.nii")), subject_id=n)
        for n in range(3)
    ]
    report = SubjectsDataset(subjects).check()
    assert (report.ok, codes(report)) == (True, [])
    assert [(row.subject, row.image) for row in report.rows[:3]] == [
        ("0", "t1"), ("0", "seg"), ("1", "t1"),
    ]  # fmt: skip
    row = report.rows[1]
    assert (row.shape, row.spacing, row.orientation) == ((1, 4, 5, 6), (1.0, 1.0, 1.0), "RAS")
    assert (row.dtype, row.bytes_on_disk, row.apart_mm) == ("int16", 592, 0.0)
    assert all(image._source is None for s in subjects for image in s.get_images(False))


def test_missing_and_damaged_files_are_errors(volume: Write, tmp_path: Path) -> None:
    damaged = volume("damaged.nii")
    damaged.write_bytes(b"nothing")
    gone = ScalarImage(tmp_path / "gone.nii", verify_path=False)
    subjects = [
        Subject(t1=ScalarImage(damaged), subject_id="a"),
        Subject(t1=gone, subject_id="b"),
    ]
    report = SubjectsDataset(subjects).check()
    assert codes(report)[:2] == [("error", "unreadable"), ("error", "missing-file")]
    assert not report.ok
    assert "'b'" in report.findings[1].message
    assert report.rows[1].missing


@pytest.mark.parametrize(
    ("shift_mm", "expected"),
    [(0.5, [("error", "spaces-differ")]), (0.01, [("info", "spaces-differ")]), (0.0, [])],
)
def test_images_that_lie_apart_are_graded_by_the_tolerance(
    volume: Write, shift_mm: float, expected: list[tuple[str, str]]
) -> None:
    t1 = ScalarImage(volume("t1.nii"))
    seg = LabelMap(volume("seg.nii", shift_mm=shift_mm))
    report = SubjectsDataset([Subject(t1=t1, seg=seg, subject_id="a")]).check()
    assert codes(report) == expected
    assert report.rows[1].apart_mm == pytest.approx(shift_mm, abs=1e-6)
    if expected:
        assert f"lie up to {shift_mm} mm" in report.findings[0].message


def test_all_files_that_an_image_lacks_are_listed(tmp_path: Path) -> None:
    files = [tmp_path / f"case_{n}.nii" for n in range(2)]
    dataset = SubjectsDataset([Subject(t1=ScalarImage(files, verify_path=False))])
    (finding,) = dataset.check().of_grade("error")
    assert f"there is no file {files[0]}, {files[1]}" in finding.message


@pytest.mark.parametrize("several", [False, True])
def test_files_that_are_cut_short_behind_a_good_header_are_errors(
    tmp_path: Path, several: bool
) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (20, 20, 20), np.int16)
    whole, cut = (Path(write_nifti(tmp_path / f"{n}.nii.gz", voxels)) for n in range(2))
    cut.write_bytes(cut.read_bytes()[:-2000])
    images = [ScalarImage([whole, cut])] if several else [ScalarImage(whole), ScalarImage(cut)]
    dataset = SubjectsDataset([Subject(t1=image) for image in images])
    (finding,) = dataset.check().of_grade("error")
    assert finding.code == "unreadable"
    assert re.search(r"1\.nii\.gz: cannot be decoded.*damaged or incomplete", finding.message)


def image_of(shape: tuple[int, ...], dtype: Any = np.int16) -> ScalarImage:
    return ScalarImage(tensor=np.zeros(shape, dtype=dtype))


def test_images_of_other_shapes_in_one_subject_are_an_error() -> None:
    subject = Subject(t1=image_of((1, 4, 4, 4)), t2=image_of((1, 4, 4, 5)), subject_id="a")
    report = SubjectsDataset([subject]).check()
    assert codes(report)[0] == ("error", "shapes-differ")
    assert "(4, 4, 4) and (4, 4, 5)" in report.findings[0].message


def test_subjects_that_do_not_fit_into_one_batch_are_errors() -> None:
    subjects = [
        Subject(t1=image_of((1, 4, 4, 4)), subject_id="a", age=3),
        Subject(t1=image_of((2, 4, 4, 4), np.uint8), t2=image_of((1, 4, 4, 4)), subject_id="a"),
    ]
    report = SubjectsDataset(subjects).check()
    assert "'t2' is missing in 1 of 2 subjects" in str(report)
    assert "'t1' differs in dtype between subjects" in str(report)
    assert codes(report) == [
        ("error", "incomplete"),
        ("error", "duplicate-id"),
        ("error", "channels-differ"),
        ("warning", "incomplete"),
        ("info", "no-labels"),
        ("info", "dtype-differ"),
    ]


def test_volumes_smaller_than_the_patch_are_errors() -> None:
    dataset = SubjectsDataset([Subject(t1=image_of((1, 4, 5, 6)), subject_id="a")])
    assert dataset.check(patch_size=4).ok
    assert codes(dataset.check(patch_size=(4, 5, 7)))[0] == ("error", "smaller-than-patch")
    with pytest.raises(PatchSizeError, match=r"patch_size is .* got 'large'"):
        dataset.check(patch_size="large")


def label_map(values: Any, dtype: Any) -> Subject:
    voxels = np.array(values, dtype=dtype).reshape(-1, 2, 2, 1)
    return Subject(seg=LabelMap(tensor=voxels), subject_id="a")


@pytest.mark.parametrize(
    ("values", "dtype", "counts", "code"),
    [
        ([0, 0, 1, 7], np.uint8, {0: 2, 1: 1, 7: 1}, "labels"),
        ([-1, 0, 0, 3], np.int16, {-1: 1, 0: 2, 3: 1}, "labels"),
        ([0, 0, 0, 0], np.int16, {0: 4}, "empty-labels"),
        ([0, 0.5, 1, 1], np.float32, {0: 1, 0.5: 1, 1: 2}, "odd-labels"),
        ([1, 1, 0, 1, 0, 0, 0, 1], np.uint8, {0: 3, 1: 1}, "labels"),
    ],
)
def test_labels_are_counted_when_asked_for(
    values: Any, dtype: Any, counts: dict[int, int], code: str
) -> None:
    dataset = SubjectsDataset([label_map(values, dtype)])
    assert dataset.check().rows[0].labels is None
    report = dataset.check(labels=True)
    assert report.rows[0].labels == counts
    assert report.findings[0].code == code


def test_labels_that_are_not_among_those_given_are_errors() -> None:
    dataset = SubjectsDataset([label_map([0, 1, 5, 5], np.uint8)])
    assert dataset.check(labels={0, 1, 2, 5}).ok
    (finding,) = dataset.check(labels={0, 1, 2}).of_grade("error")
    assert finding.code == "undeclared-labels"
    assert "has the labels 0, 1, 5, declared are 0, 1, 2; correct" in finding.message


def test_files_of_two_subjects_and_other_orientations_and_spacings_are_warnings(
    volume: Write, tmp_path: Path
) -> None:
    path = volume("t1.nii")
    turned = tmp_path / "turned.nii"
    affine = np.diag([-1.0, 1.0, 2.0, 1.0])
    ScalarImage(tensor=np.zeros((1, 4, 5, 6), dtype=np.int16), affine=affine).save(turned)
    subjects = [
        Subject(t1=ScalarImage(file), seg=LabelMap(tensor=np.ones((1, 4, 5, 6))), subject_id=name)
        for name, file in (("a", path), ("b", path), ("c", turned))
    ]
    report = SubjectsDataset(subjects).check()
    warnings = {finding.code for finding in report.of_grade("warning")}
    assert warnings == {"shared-file", "orientation-differ", "spacings-differ"}


def test_a_report_can_be_printed_and_stored(volume: Write) -> None:
    subject = Subject(
        t1=ScalarImage(volume("t1.nii")), seg=LabelMap(volume("seg.nii", 2)), subject_id="a"
    )
    report = SubjectsDataset([subject]).check(labels=True)
    stored = json.loads(json.dumps(report.as_dict()))
    assert stored["ok"] is True
    assert stored["rows"][1]["labels"] == {"2": 120}
    text = str(report)
    assert "1 subject, 2 images" in text
    assert "seg (label): 1 image, shape (1, 4, 5, 6), spacing (1, 1, 1) mm, RAS, int16" in text
    assert "labels of 'seg', in how many subjects (of 1): 2 in 1" in text
