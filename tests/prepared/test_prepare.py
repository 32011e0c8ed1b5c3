import hashlib
import multiprocessing
import os
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom._errors import PreparedError, SubjectError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import chunk_for, write_nifti
from voxloom.prepared import _prepare, open_prepared, prepare
from voxloom.prepared._settings import Settings
from voxloom.prepared._store import read_record
from voxloom.prepared._write import write_subject
from voxloom.subjects import Image, LabelMap, ScalarImage, Subject, SubjectsDataset
from voxloom.testing._reader_contract import check_reader
from voxloom.transforms import canonical

AFFINE = np.array([[0, -2.5, 0, 9], [0.5, 0, 0.1, -4], [0, 0, -3, 20], [0, 0, 0, 1.0]])


def subjects(count: int = 3) -> list[Subject]:
    rng = np.random.default_rng(0)
    return [
        Subject(
            t1=ScalarImage(tensor=rng.integers(-9, 99, (1, 17, 18, 19), np.int16), affine=AFFINE),
            seg=LabelMap(tensor=rng.integers(0, 4, (1, 17, 18, 19), np.uint8), affine=AFFINE),
            age=40 + number,
        )
        for number in range(count)
    ]


def double(subject: Subject) -> Subject:
    return subject.replace(t1=subject.t1.with_data(subject.t1.array * 2), doubled=True)


def slowly(subject: Subject) -> Subject:
    time.sleep(0.05)
    return double(subject)


def contents(folder: Path) -> dict[str, str]:
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.fixture(params=["nifti", "zarr"])
def layout(request: pytest.FixtureRequest) -> str:
    if request.param == "zarr":
        pytest.importorskip("numcodecs")
    return str(request.param)


def fail_on_the_second(subject: Subject) -> Subject:
    if subject.age == 41:
        raise ZeroDivisionError("no spacing")
    return subject


@pytest.mark.parametrize("num_workers", [0, 1])
def test_the_subject_that_a_transform_fails_on_is_named(tmp_path: Path, num_workers: int) -> None:
    named = [one.replace(subject_id=f"person-{n}") for n, one in enumerate(subjects())]
    message = (
        r"'person-1' \(number 1\) cannot be prepared, its transform failed: "
        r"ZeroDivisionError: no spacing\. What is done is kept"
    )
    with pytest.raises(PreparedError, match=message):
        prepare(SubjectsDataset(named, fail_on_the_second), tmp_path, num_workers=num_workers)
    assert len(list((tmp_path / "subjects").iterdir())) == 1


def test_a_file_that_is_damaged_is_named_as_it_is_elsewhere(tmp_path: Path) -> None:
    path = Path(write_nifti(tmp_path / "t1.nii.gz", np.ones((1, 9, 9, 9), np.int16)))
    path.write_bytes(path.read_bytes()[:-30])
    dataset = SubjectsDataset([Subject(t1=ScalarImage(path))], double)
    with pytest.raises(VolumeReadError, match=r"t1\.nii\.gz: cannot be decoded"):
        prepare(dataset, tmp_path / "store")


def test_subjects_come_back_as_the_transform_made_them(tmp_path: Path, layout: str) -> None:
    given = subjects()
    dataset = prepare(SubjectsDataset(given, double), tmp_path, layout=layout)
    assert len(dataset) == 3
    for before, after in zip(given, dataset, strict=True):
        np.testing.assert_array_equal(after.t1.array, before.t1.array * 2)
        np.testing.assert_array_equal(after.seg.array, before.seg.array)
        np.testing.assert_array_equal(after.t1.affine, before.t1.affine)
        assert (after.t1.dtype, after.seg.dtype) == (np.int16, np.uint8)
        assert (type(after.t1), type(after.seg)) == (ScalarImage, LabelMap)
        assert (after.age, after.doubled) == (before.age, True)


def test_its_volumes_keep_the_contract_of_readers(tmp_path: Path, layout: str) -> None:
    for image in prepare(SubjectsDataset(subjects(1)), tmp_path, layout=layout)[0].get_images():
        check_reader(image.source)
    dataset = open_prepared(tmp_path)
    source = dataset.dry_iter()[0].t1.source
    check_reader(source)
    assert source.reads_regions


def test_chunks_are_chosen_for_the_patch_the_shape_and_the_type(tmp_path: Path) -> None:
    pytest.importorskip("numcodecs")
    shape = (1, 70, 70, 12)
    image = ScalarImage(tensor=np.ones(shape, np.float32))
    labels = LabelMap(tensor=np.ones(shape, np.uint8))
    dataset = SubjectsDataset([Subject(t1=image, seg=labels)])
    (stored,) = prepare(dataset, tmp_path, (64, 64, 8), layout="zarr").dry_iter()
    chunks = [stored[name].source.chunk_shape for name in ("t1", "seg")]
    assert chunks == [chunk_for((64, 64, 8), shape[1:], n) for n in (4, 1)]
    assert chunks == [(32, 32, 8), (64, 64, 8)]


def test_a_box_of_the_nifti_layout_lies_in_our_order(tmp_path: Path) -> None:
    source = prepare(SubjectsDataset(subjects(1)), tmp_path).dry_iter()[0].t1.source
    patch = source.read(Box((1, 2, 3), (9, 9, 9)))
    assert patch.strides[3] == 2
    assert not patch.flags.owndata


def test_nibabel_shows_the_nifti_layout_where_it_belongs(tmp_path: Path) -> None:
    given = subjects(1)[0]
    prepare(SubjectsDataset([given]), tmp_path)
    (file,) = tmp_path.rglob("t1.nii")
    image = nibabel.load(file)
    for index in [(0, 0, 0), (16, 17, 18), (3, 5, 11)]:
        place = nibabel.affines.apply_affine(AFFINE, index)
        there = np.rint(nibabel.affines.apply_affine(np.linalg.inv(image.affine), place))
        i, j, k = there.astype(int)
        assert image.dataobj[i, j, k] == given.t1.array[(0, *index)]


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "float32", "int64", "float64"])
def test_types_are_kept(tmp_path: Path, layout: str, dtype: str) -> None:
    voxels = np.random.default_rng(0).integers(0, 2, (2, 9, 9, 9)).astype(dtype)
    image = Image(tensor=voxels)
    (after,) = prepare(SubjectsDataset([Subject(t1=image)]), tmp_path, layout=layout)
    assert after.t1.dtype == image.dtype
    np.testing.assert_array_equal(after.t1.array, image.array)


def test_two_workers_write_the_same_store_as_none(tmp_path: Path) -> None:
    prepare(SubjectsDataset(subjects(), canonical), tmp_path / "none")
    prepare(SubjectsDataset(subjects(), canonical), tmp_path / "two", num_workers=2)
    assert contents(tmp_path / "two") == contents(tmp_path / "none")


def write_again_and_again(folder: str, meet: Any, answers: Any) -> None:
    (subject,) = subjects(1)
    settings = Settings.of("nifti", None)
    try:
        for _ in range(20):
            meet.wait()
            write_subject(subject, Path(folder, "key"), settings)
        answers.put("")
    except BaseException as error:
        meet.abort()
        answers.put(repr(error))


@pytest.mark.usefixtures("fork_server")
def test_equal_subjects_may_be_written_by_several_processes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    meet, answers = context.Barrier(2), context.Queue()
    arguments = (str(tmp_path), meet, answers)
    processes = [context.Process(target=write_again_and_again, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    assert [answers.get(timeout=60) for _ in processes] == ["", ""]
    for process in processes:
        process.join()
    assert [place.name for place in tmp_path.iterdir()] == ["key"]
    assert read_record(tmp_path / "key") is not None


def test_running_again_writes_nothing_and_a_change_only_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = subjects()
    prepare(SubjectsDataset(given), tmp_path)
    written: list[Any] = []
    write = _prepare.write_subject

    def counted(subject: Subject, *rest: Any) -> Any:
        written.append(subject.age)
        return write(subject, *rest)

    monkeypatch.setattr(_prepare, "write_subject", counted)
    prepare(SubjectsDataset(given), tmp_path)
    assert written == []
    given[1] = given[1].replace(age=90)
    dataset = prepare(SubjectsDataset(given), tmp_path)
    assert written == [90]
    assert [subject.age for subject in dataset] == [40, 90, 42]
    assert len(list((tmp_path / "subjects").iterdir())) == 3
    prepare(SubjectsDataset(given, double), tmp_path)
    assert written == [90, 40, 90, 42]


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    write_nifti(path, np.zeros((4, 5, 6), np.int16))
    prepare(SubjectsDataset([Subject(t1=ScalarImage(path))]), tmp_path / "store")
    write_nifti(path, np.ones((4, 5, 6), np.int16))
    dataset = prepare(SubjectsDataset([Subject(t1=ScalarImage(path))]), tmp_path / "store")
    assert dataset[0].t1.array.min() == 1


def run_slowly(folder: str) -> None:
    os.setpgrp()
    prepare(SubjectsDataset(subjects(6), slowly), folder)


@pytest.mark.usefixtures("fork_server")
def test_a_killed_run_goes_on_and_gives_the_same_store(tmp_path: Path) -> None:
    dataset = SubjectsDataset(subjects(6), slowly)
    prepare(dataset, tmp_path / "whole")
    killed = tmp_path / "killed"
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=run_slowly, args=(str(killed),))
    process.start()
    while not len(list(killed.glob("subjects/*/subject.json"))) >= 2:
        assert process.is_alive()
        time.sleep(0.005)
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with pytest.raises(PreparedError, match=r"never finished; run voxloom\.prepare"):
        open_prepared(killed)
    prepare(dataset, killed)
    assert contents(killed) == contents(tmp_path / "whole")


def test_what_a_killed_run_left_is_cleared_away(tmp_path: Path) -> None:
    left = tmp_path / "subjects" / f"{'0123' * 8}.77.unfinished"
    left.mkdir(parents=True)
    (left / "t1.nii").write_bytes(b"half")
    prepare(SubjectsDataset(subjects(1)), tmp_path)
    assert not left.exists()


def with_ids(*ids: str) -> SubjectsDataset:
    named = zip(subjects(len(ids)), ids, strict=True)
    return SubjectsDataset([subject.replace(subject_id=one) for subject, one in named])


def test_another_data_set_is_replaced_only_where_that_is_said(tmp_path: Path) -> None:
    prepare(with_ids("ann", "bob"), tmp_path)
    before = contents(tmp_path)
    message = "holds another data set, .* such as 'ann', none .*--overwrite on the command line"
    with pytest.raises(PreparedError, match=message):
        prepare(with_ids("cy", "dee"), tmp_path)
    assert contents(tmp_path) == before
    stored = prepare(with_ids("cy", "dee"), tmp_path, overwrite=True)
    assert [one.subject_id for one in stored] == ["cy", "dee"]
    assert len(list((tmp_path / "subjects").iterdir())) == 2


def forget_names(subject: Subject) -> Subject:
    return subject.replace(subject_id="somebody")


def test_a_data_set_that_shares_a_subject_or_changes_its_ids_goes_on(tmp_path: Path) -> None:
    prepare(with_ids("ann", "bob"), tmp_path)
    changed = with_ids("cy", "bob")
    for transform in (None, double, forget_names, forget_names):
        changed.set_transform(transform)
        assert len(prepare(changed, tmp_path)) == 2


def test_what_others_put_into_the_folder_stays_there(tmp_path: Path) -> None:
    raw = tmp_path / "subjects" / "sub-01" / "t1.nii"
    raw.parent.mkdir(parents=True)
    nibabel.save(nibabel.Nifti1Image(np.ones((5, 6, 7), np.int16), np.eye(4)), raw)
    (tmp_path / "subjects" / ".DS_Store").write_text("of a file browser")
    (tmp_path / "subjects" / ("0f" * 16)).mkdir()
    for age in (40, 41):  # the second time there is something to remove
        prepare(SubjectsDataset([Subject(t1=ScalarImage(raw), age=age)]), tmp_path)
    assert open_prepared(tmp_path)[0].age == 41
    names = {place.name for place in (tmp_path / "subjects").iterdir()}
    assert {"sub-01", ".DS_Store", "0f" * 16} < names
    assert len(names) == 4
    assert raw.exists()


def test_a_random_transform_is_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def noisy(subject: Subject) -> Subject:
        return subject.replace(t1=subject.t1.with_data(subject.t1.array + rng.normal()))

    with pytest.raises(PreparedError, match=r"'t1' of .* two different results"):
        prepare(SubjectsDataset(subjects(1), noisy), tmp_path)


def test_a_full_disk_is_found_before_anything_is_written(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    least = "about" if layout == "nifti" else "at least"
    with pytest.raises(PreparedError, match=rf"take {least} 0\.0 GB and the disk has 0\.0 GB free"):
        prepare(SubjectsDataset(subjects(1)), tmp_path, layout=layout)
    assert not list((tmp_path / "subjects").iterdir())


@pytest.mark.parametrize("share", [0.05, 1.0])
def test_what_will_surely_not_fit_is_refused_and_what_may_fit_is_not(
    tmp_path: Path, layout: str, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    voxel_bytes = 3 * 17 * 18 * 19 * 3
    free = int(share * voxel_bytes * 1.5) + _prepare._RESERVE_BYTES
    disk = shutil.disk_usage(tmp_path)._replace(free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk)
    dataset = SubjectsDataset(subjects())
    if share == 1.0 or layout == "zarr":
        assert len(prepare(dataset, tmp_path, layout=layout)) == 3
    else:
        with pytest.raises(PreparedError, match="choose another folder, or layout='zarr'"):
            prepare(dataset, tmp_path, layout=layout)


def test_a_disk_that_fills_meanwhile_leaves_no_half_subject(tmp_path: Path, layout: str) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    try:
        with pytest.raises(PreparedError, match="cannot be written, File too large; free room"):
            prepare(SubjectsDataset(subjects()), tmp_path, layout=layout)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list((tmp_path / "subjects").iterdir())
    assert len(prepare(SubjectsDataset(subjects()), tmp_path, layout=layout)) == 3


@pytest.mark.parametrize("place", ["file", "file/store"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").touch()
    message = rf"{tmp_path / place}: nothing can be prepared here, Not a directory; choose another"
    with pytest.raises(PreparedError, match=message):
        prepare(SubjectsDataset(subjects(1)), tmp_path / place)


def test_two_runs_at_once_are_refused(tmp_path: Path) -> None:
    with (
        _prepare._locked(tmp_path),
        pytest.raises(PreparedError, match="another process prepares"),
    ):
        prepare(SubjectsDataset(subjects(1)), tmp_path)


def test_an_unknown_layout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparedError, match=r"layout is one of .*, got 'tiff'"):
        prepare(SubjectsDataset(subjects(1)), tmp_path, layout="tiff")


def test_only_a_data_set_is_prepared(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="expected a SubjectsDataset, got list"):
        prepare(subjects(1), tmp_path)  # type: ignore[arg-type]
