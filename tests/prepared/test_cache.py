"""A cache changes nothing but the time that a patch takes."""

import hashlib
import logging
import multiprocessing
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom import LabelSampler, Queue
from voxloom._errors import PreparedError, SubjectError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import CachedSource, NiftiSource, write_nifti
from voxloom.patches import PatchSampler, UniformSampler, WeightedSampler
from voxloom.prepared._cache import VolumeCache
from voxloom.prepared._cache_folder import CacheFolder
from voxloom.subjects import Image, LabelMap, ScalarImage, Subject, SubjectsDataset

SHAPE = (20, 18, 16)
AFFINE = np.array([[0, -2.5, 0, 9], [0.5, 0, 0.1, -4], [0, 0, -3, 20], [0, 0, 0, 1.0]])


def write_subjects(folder: Path, count: int = 5) -> list[Subject]:
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        t1 = write_nifti(f"{folder}/{number}_t1.nii.gz", rng.integers(-9, 999, SHAPE, np.int16))
        seg = write_nifti(
            f"{folder}/{number}_seg.nii.gz", rng.integers(0, 4, SHAPE, np.uint8), AFFINE
        )
        weights = write_nifti(f"{folder}/{number}_w.nii.gz", rng.random(SHAPE, np.float32))
        affine = {"affine": AFFINE}
        made.append(
            Subject(
                t1=ScalarImage(t1, **affine, site="a"),
                seg=LabelMap(seg),
                weights=Image(weights, type="sampling_map", **affine),
                number=number,
            )
        )
    return made


def add_noise(subject: Subject) -> Subject:
    rng = np.random.default_rng(np.random.randint(2**31))  # noqa: NPY002 - what users write
    t1 = subject.t1.array.astype(np.float32)
    t1 = (t1 - t1.mean()) / t1.std()  # depends on the order in memory, in the last bits
    return subject.replace(t1=subject.t1.with_data(t1 + rng.normal()))


def feed(state: Any, item: Any) -> None:
    for name in sorted(item):
        value = item[name]
        state.update(name.encode())
        if hasattr(value, "keys"):
            feed(state, value)
        elif hasattr(value, "numpy"):
            state.update(f"{value.dtype} {tuple(value.shape)}".encode())
            state.update(value.contiguous().numpy().tobytes())
        else:
            state.update(repr(value).encode())


def signs(
    dataset: SubjectsDataset, sampler: PatchSampler, workers: int, epochs: int = 2, **options: Any
) -> list[str]:
    made = []
    with Queue(dataset, 8, 3, sampler, num_workers=workers, seed=5, **options) as queue:
        for _ in range(epochs):
            for batch in queue.batches(3):
                state = hashlib.blake2b(digest_size=8)
                feed(state, batch)
                made.append(state.hexdigest())
    return made


@pytest.mark.parametrize(
    ("workers", "start_method", "transform"),
    [
        (0, "spawn", None),
        (0, "spawn", add_noise),
        (1, "spawn", None),
        (2, "forkserver", None),
        (2, "forkserver", add_noise),
    ],
)
@pytest.mark.usefixtures("fork_server")
def test_patches_and_order_are_those_without_a_cache_cold_and_warm(
    tmp_path: Path, workers: int, start_method: str, transform: Any
) -> None:
    subjects = write_subjects(tmp_path)
    sampler = LabelSampler(6, "seg", {1: 2, 3: 1})
    plain = signs(SubjectsDataset(subjects, transform), sampler, 0)
    cached = SubjectsDataset(subjects, transform, cache=tmp_path / "cache")
    assert signs(cached, sampler, workers, start_method=start_method) == plain
    entries = sorted((tmp_path / "cache" / "volumes").iterdir())
    assert len(entries) == 15
    made = [entry.stat().st_ctime_ns for entry in entries]
    assert signs(cached, sampler, workers, start_method=start_method) == plain
    assert [entry.stat().st_ctime_ns for entry in entries] == made


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 2.0])
@pytest.mark.parametrize("sampler", [UniformSampler(6), WeightedSampler(6, "weights")])
def test_a_limit_changes_no_patch_and_is_kept(
    tmp_path: Path, share: float, sampler: PatchSampler
) -> None:
    subjects = write_subjects(tmp_path)
    limit = int(share * 5 * (2 + 1 + 4) * np.prod(SHAPE))
    plain = signs(SubjectsDataset(subjects), sampler, 0, epochs=4)
    cached = SubjectsDataset(subjects, cache=tmp_path / "cache", cache_limit=limit)
    assert signs(cached, sampler, 0, epochs=4) == plain
    volumes = tmp_path / "cache" / "volumes"
    taken = sum(file.stat().st_size for file in volumes.rglob("*") if file.is_file())
    assert taken <= limit
    assert (taken > limit / 3) == (share > 0.1)


def count_decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    read = VolumeCache._decoded

    def counted(self: VolumeCache, visit: Any, key: str | None) -> Image:
        decoded.append(visit.image["path"])
        return read(self, visit, key)

    monkeypatch.setattr(VolumeCache, "_decoded", counted)
    return decoded


def test_each_file_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subjects = write_subjects(tmp_path)
    decoded = count_decodings(monkeypatch)
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    signs(dataset, UniformSampler(6), 0, epochs=3)
    assert len(decoded) == len(set(decoded)) == 15
    _ = [subject.t1.array for subject in dataset]
    assert len(decoded) == 15


def test_half_of_the_room_spares_half_of_the_decodings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = [s.without("seg", "weights") for s in write_subjects(tmp_path, 20)]
    one = SubjectsDataset(subjects[:1], cache=tmp_path / "one")
    _ = one[0]
    entry = sum(f.stat().st_size for f in (tmp_path / "one" / "volumes").rglob("*") if f.is_file())
    decoded = count_decodings(monkeypatch)
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache", cache_limit=entry * 10 + 100)
    signs(dataset, UniformSampler(6), 0, epochs=11)
    later = len(decoded) - 20
    # no rule can do better: an epoch wants each subject once, so ten kept ones are ten hits
    assert later == 100


def test_what_is_cached_is_read_by_region_and_brings_its_index(tmp_path: Path) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    dataset = SubjectsDataset([subject], cache=tmp_path / "cache")
    found = dataset.peek(0)
    for name in ("t1", "seg", "weights"):
        image = found[name]
        assert isinstance(image.source, CachedSource)
        assert not image.is_loaded
        np.testing.assert_array_equal(image.read(), subject[name].source.read())
        np.testing.assert_array_equal(image.affine, subject[name].affine)
        assert list(image.items())[3:] == list(subject[name].items())[3:]  # paths and metadata
    held = found.seg.source.stored_arrays("label 1 values", "label 9 values")
    assert list(held) == ["label 1 values"]
    assert held["label 1 values"].sum() == (subject.seg.array == 1).sum()
    assert found.weights.source.stored_arrays("weights values")
    assert not found.t1.source.stored_arrays("foreground values")


def test_a_file_that_changes_is_decoded_again(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii.gz"
    values = []
    for value in (3, 4, 3):
        write_nifti(path, np.full((4, 5, 6), value, np.int16))
        dataset = SubjectsDataset([Subject(t1=ScalarImage(path))], cache=tmp_path / "cache")
        values.append([int(dataset[0].t1.array.max()) for _ in range(2)])
    assert values == [[3, 3], [4, 4], [3, 3]]
    assert len(list((tmp_path / "cache" / "volumes").iterdir())) == 2  # told by their bytes


class CountingSampler(UniformSampler):
    """Counts how many subjects are opened anew."""

    prepared = 0

    def prepare(self, subject: Subject) -> Any:
        self.prepared += 1
        return super().prepare(subject)


def test_a_subject_of_a_cache_is_opened_once_and_a_change_of_its_file_is_noticed_in_between(
    tmp_path: Path,
) -> None:
    subjects = [subject.without("seg", "weights") for subject in write_subjects(tmp_path)]
    changed = tmp_path / "2_t1.nii.gz"
    contents = [changed.read_bytes()]
    write_nifti(changed, np.full(SHAPE, 7, np.int16), AFFINE)
    contents.append(changed.read_bytes())
    sampler = CountingSampler(6)
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    with Queue(dataset, 8, 3, sampler, num_workers=0, seed=5) as queue:
        highest = []
        for content in (0, 0, 1, 1, 0):
            if changed.read_bytes() != contents[content]:
                changed.write_bytes(contents[content])
            patches = [patch for patch in queue.batches(1) if patch["number"][0] == 2]
            highest.append(max(int(patch["t1"]["data"].max()) for patch in patches))
    assert [value == 7 for value in highest] == [False, False, True, True, False]
    assert sampler.prepared == 5 + 2


def test_a_subject_that_was_removed_between_epochs_is_opened_and_kept_again(
    tmp_path: Path,
) -> None:
    subjects = [subject.without("seg", "weights") for subject in write_subjects(tmp_path)]
    sampler, volumes = CountingSampler(6), tmp_path / "cache" / "volumes"
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    with Queue(dataset, 8, 3, sampler, num_workers=0, seed=5) as queue:
        for opened in (5, 6, 6):
            assert sum(len(batch["number"]) for batch in queue.batches(3)) == 15
            assert sampler.prepared == opened
            assert len(list(volumes.iterdir())) == 5
            if opened == 5:
                shutil.rmtree(next(volumes.iterdir()))


def test_a_limit_is_kept_by_its_rule_where_subjects_stay_open(tmp_path: Path) -> None:
    subjects = [subject.without("seg", "weights") for subject in write_subjects(tmp_path)]
    _ = SubjectsDataset(subjects[:1], cache=tmp_path / "one")[0]
    (entry,) = (tmp_path / "one" / "volumes").iterdir()
    room = sum(file.stat().st_size for file in entry.iterdir()) * 6
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache", cache_limit=room)
    sampler = CountingSampler(6)
    with Queue(dataset, 8, 3, sampler, num_workers=0, seed=5) as queue:
        for epoch in range(3):
            _ = [batch["t1"]["data"].sum() for batch in queue.batches(3)]
            assert (tmp_path / "cache" / "clock").stat().st_size == 5 * (epoch + 1)
    assert sampler.prepared == 5
    dues = [file.stat().st_mtime_ns for file in (tmp_path / "cache").rglob("subject.json")]
    assert len(dues) == 5
    assert all(15 < due <= 15 + 10 for due in dues)


def test_a_file_that_moved_is_known_by_its_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    _ = SubjectsDataset([subject], cache=tmp_path / "cache")[0]
    decoded = count_decodings(monkeypatch)
    shutil.copy(tmp_path / "0_t1.nii.gz", tmp_path / "other.nii.gz")
    moved = Subject(t1=ScalarImage(tmp_path / "other.nii.gz", affine=AFFINE))
    found = SubjectsDataset([moved], cache=tmp_path / "cache")[0]
    np.testing.assert_array_equal(found.t1.array, subject.t1.array)
    assert decoded == []


def test_an_entry_that_was_cut_off_with_the_power_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    dataset = SubjectsDataset([subject], cache=tmp_path / "cache")
    expected = dataset[0].t1.array
    for file in (tmp_path / "cache").rglob("voxels.nii"):
        with file.open("r+b") as opened:
            opened.seek(-64, os.SEEK_END)
            opened.write(bytes(64))
    monkeypatch.setattr("voxloom.prepared._cache_folder._boot", lambda: "another start")
    decoded = count_decodings(monkeypatch)
    np.testing.assert_array_equal(dataset[0].t1.array, expected)
    assert len(decoded) == 3
    _ = dataset[0]
    assert len(decoded) == 3


def write_with(path: Path, array: np.ndarray, *, big_endian: bool, slope: float) -> Path:
    header = nibabel.Nifti1Header(endianness=">" if big_endian else "<")
    image = nibabel.Nifti1Image(array, AFFINE, header)
    image.header.set_data_dtype(array.dtype)
    image.header.set_slope_inter(slope, 3 if slope != 1 else 0)
    nibabel.save(image, path)
    return path


@pytest.mark.parametrize("slope", [1, 0.5])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("shape", [SHAPE, (5, 6, 7, 3)])
def test_a_copy_reads_as_the_file_does_however_it_is_stored(
    tmp_path: Path, shape: tuple[int, ...], big_endian: bool, slope: float
) -> None:
    array = np.random.default_rng(0).integers(0, 99, shape).astype(np.int16)
    path = write_with(tmp_path / "a.nii.gz", array, big_endian=big_endian, slope=slope)
    subject = Subject(t1=ScalarImage(path))
    found = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0).t1
    assert isinstance(found.source, CachedSource)
    assert found.dtype == subject.t1.dtype
    np.testing.assert_array_equal(found.read(), subject.t1.source.read())
    np.testing.assert_array_equal(found.affine, subject.t1.affine)
    box = Box((1, 2, 3), (5, 4, 6))
    np.testing.assert_array_equal(found.read(box), subject.t1.source.read(box))


def test_a_damaged_file_is_named_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    path = tmp_path / "0_t1.nii.gz"
    path.write_bytes(path.read_bytes()[:-9])
    dataset = SubjectsDataset([subject], cache=tmp_path / "cache")
    with pytest.raises(VolumeReadError, match=r"0_t1\.nii\.gz: .*the file is damaged"):
        dataset.peek(0)
    for folder in ("volumes", "unfinished"):
        assert list((tmp_path / "cache" / folder).iterdir()) == []


def test_a_file_that_changes_while_it_is_decoded_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(write_nifti(tmp_path / "t1.nii.gz", np.full(SHAPE, 3, np.int16)))
    subject = Subject(t1=ScalarImage(path))
    decode_into = NiftiSource.decode_into

    def decode_and_touch(source: NiftiSource, *rest: Any) -> Any:
        voxels = decode_into(source, *rest)
        os.utime(path, ns=(5, 5))
        return voxels

    monkeypatch.setattr(NiftiSource, "decode_into", decode_and_touch)
    dataset = SubjectsDataset([subject], cache=tmp_path / "cache")
    assert int(dataset.peek(0).t1.read().max()) == 3
    for folder in ("volumes", "unfinished"):
        assert list((tmp_path / "cache" / folder).iterdir()) == []


def test_a_new_file_is_read_once_and_known_by_its_bytes_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (subject,) = write_subjects(tmp_path, 1)

    def read_again(files: Any, facts: str) -> str:
        raise AssertionError(f"{files} are read before they are decoded")

    with monkeypatch.context() as patched:
        patched.setattr("voxloom.prepared._cache.content_key", read_again)
        _ = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0)
    decoded = count_decodings(monkeypatch)
    _ = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0)
    assert decoded == []


def test_what_is_kept_lies_as_patches_do_and_any_viewer_shows_it_right(tmp_path: Path) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    found = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0)
    assert all(found[name].read().flags.c_contiguous for name in ("t1", "seg", "weights"))
    places = (tmp_path / "cache" / "volumes").rglob("voxels.nii")
    shown = [nibabel.as_closest_canonical(nibabel.load(place)) for place in places]
    original = nibabel.as_closest_canonical(nibabel.load(tmp_path / "0_seg.nii.gz"))
    (seg,) = [image for image in shown if image.get_data_dtype() == np.uint8]
    np.testing.assert_array_equal(np.asarray(seg.dataobj), np.asarray(original.dataobj))
    np.testing.assert_allclose(seg.affine, original.affine, atol=1e-5)


def test_a_volume_for_which_there_is_no_room_is_decoded_once_and_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subjects = write_subjects(tmp_path, 3)
    expected = [subject.t1.source.read() for subject in subjects]
    decodings: list[str] = []
    decode_into = NiftiSource.decode_into

    def counted(source: NiftiSource, *rest: Any) -> Any:
        decodings.append(source.path)
        return decode_into(source, *rest)

    monkeypatch.setattr(NiftiSource, "decode_into", counted)
    monkeypatch.delattr(NiftiSource, "read")
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache", cache_limit=100)
    found = [dataset.peek(number) for number in range(3)]
    for subject, voxels in zip(found, expected, strict=True):
        np.testing.assert_array_equal(subject.t1.array, voxels)
    assert len(decodings) == len(set(decodings)) == 9


def test_a_cache_that_is_removed_meanwhile_costs_time_only(tmp_path: Path) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    found = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0)
    shutil.rmtree(tmp_path / "cache")
    np.testing.assert_array_equal(found.t1.read(), subject.t1.array)


@pytest.mark.parametrize("is_warm", [False, True])
@pytest.mark.parametrize("transform", [None, add_noise])
def test_an_entry_that_another_process_removes_once_it_was_found_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_warm: bool, transform: Any
) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    dataset = SubjectsDataset([subject], transform, cache=tmp_path / "cache", cache_limit=10**6)
    if is_warm:
        dataset.peek(0)
    find = CacheFolder.find

    def find_and_remove(self: CacheFolder, key: str) -> Any:
        found = find(self, key)
        self.remove(key)
        return found

    monkeypatch.setattr(CacheFolder, "find", find_and_remove)
    found = dataset.peek(0)
    for name in ("t1", "seg", "weights"):
        np.testing.assert_array_equal(found[name].read(), subject[name].array)


def test_an_index_that_another_process_removes_is_made_anew(tmp_path: Path) -> None:
    (subject,) = write_subjects(tmp_path, 1)
    cached = SubjectsDataset([subject], cache=tmp_path / "cache").peek(0)
    assert cached.seg.source.stored_arrays("label 1 values")
    for index in (tmp_path / "cache").rglob("*.npz"):
        index.unlink()
    assert not cached.seg.source.stored_arrays("label 1 values")
    sampler = LabelSampler(6, "seg", {1: 2, 3: 1})
    places = [
        [patch["index_ini"].tolist() for patch in sampler(one, 20, rng=5)]
        for one in (cached, subject)
    ]
    assert places[0] == places[1]


def run_all(subjects: list[Subject], folder: str, limit: int | None, answers: Any) -> None:
    dataset = SubjectsDataset(subjects, cache=folder, cache_limit=limit)
    answers.put(signs(dataset, UniformSampler(6), 0))


@pytest.mark.parametrize("limit", [60_000])
@pytest.mark.usefixtures("fork_server")
def test_several_processes_share_one_folder(tmp_path: Path, limit: int | None) -> None:
    subjects = write_subjects(tmp_path)
    context = multiprocessing.get_context("forkserver")
    answers = context.Queue()
    arguments = (subjects, str(tmp_path / "cache"), limit, answers)
    processes = [context.Process(target=run_all, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    expected = signs(SubjectsDataset(subjects), UniformSampler(6), 0)
    assert [answers.get(timeout=60) for _ in processes] == [expected] * 2
    for process in processes:
        process.join()
    assert list((tmp_path / "cache" / "unfinished").iterdir()) == []


def test_a_killed_process_leaves_no_half_entry(tmp_path: Path) -> None:
    subjects = write_subjects(tmp_path)
    expected = signs(SubjectsDataset(subjects), UniformSampler(6), 0)
    context = multiprocessing.get_context("fork")
    rng = np.random.default_rng(1)
    for _ in range(20):
        arguments = (subjects, str(tmp_path / "cache"), None, context.Queue())
        process = context.Process(target=run_all, args=arguments)
        process.start()
        time.sleep(float(rng.uniform(0, 0.06)))
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    assert list((tmp_path / "cache" / "unfinished").iterdir()) == []
    assert signs(dataset, UniformSampler(6), 0) == expected


def test_a_full_disk_is_a_warning_and_no_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    subjects = write_subjects(tmp_path)
    expected = signs(SubjectsDataset(subjects), UniformSampler(6), 0)
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with caplog.at_level(logging.WARNING, "voxloom"):
            made = signs(dataset, UniformSampler(6), 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert made == expected
    assert "a volume is not kept in the cache, File too large" in caplog.text
    assert len(caplog.records) == 1
    assert list((tmp_path / "cache" / "volumes").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    subjects = write_subjects(tmp_path, 1)
    with pytest.raises(PreparedError, match=r"file: no cache can be kept here, Not a directory"):
        SubjectsDataset(subjects, cache=tmp_path / "file")


def test_a_limit_is_a_number_of_bytes_for_a_cache(tmp_path: Path) -> None:
    subjects = write_subjects(tmp_path, 1)
    with pytest.raises(SubjectError, match="cache_limit is for a cache; give its folder too"):
        SubjectsDataset(subjects, cache_limit=10)
    with pytest.raises(PreparedError, match="cache_limit is a whole number of bytes, or None"):
        SubjectsDataset(subjects, cache=tmp_path / "c", cache_limit="10 GB")  # type: ignore[arg-type]
    with pytest.raises(PreparedError, match="cache_limit is at least one byte, got 0"):
        SubjectsDataset(subjects, cache=tmp_path / "c", cache_limit=0)


def test_parts_of_a_data_set_share_its_cache(tmp_path: Path) -> None:
    subjects = [s.replace(subject_id=str(s.number)) for s in write_subjects(tmp_path)]
    train, test = SubjectsDataset(subjects, cache=tmp_path / "cache").split([0.6, 0.4])
    _ = [s.t1 for s in train], [s.t1 for s in test]
    assert len(list((tmp_path / "cache" / "volumes").iterdir())) == 15
    train.set_cache(None)
    assert not train.peek(0).t1.source.reads_regions


def read_by_hand(path: Path) -> tuple[Any, Any]:
    return np.full((1, 3, 4, 5), len(path.name)), None


@pytest.mark.parametrize(
    "make",
    [
        lambda path: ScalarImage(path, reader=read_by_hand),
        lambda path: ScalarImage(tensor=np.ones((1, 3, 4, 5))),
    ],
    ids=["own reader", "in memory"],
)
def test_what_a_cache_cannot_know_is_left_alone(
    tmp_path: Path, make: Callable[[Path], Image]
) -> None:
    path = tmp_path / "own.format"
    path.write_text("")
    dataset = SubjectsDataset([Subject(t1=make(path))], cache=tmp_path / "cache")
    _ = dataset[0].t1.array
    assert list((tmp_path / "cache" / "volumes").iterdir()) == []
