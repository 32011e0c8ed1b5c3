"""Volumes stay decoded between epochs: never other patches, never more bytes, never old files."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import changing
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom import LabelMap, LabelSampler, Queue, ScalarImage, Subject, SubjectsDataset
from voxloom._errors import VolumeReadError
from voxloom.io import NiftiSource, _file_state, _nifti, write_nifti
from voxloom.loading import _memory, _memory_cache
from voxloom.loading._memory_cache import MemoryCache, to_store

MakeQueue = Callable[..., Queue]
SIDE = 12
IMAGE_BYTES = -(-(SIDE**3) * 2 // 4096) * 4096  # int16, in whole pages

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="needs files in memory without a name"),
    pytest.mark.filterwarnings("ignore:.*samples_per_volume"),
]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust files at once that a test wrote a moment ago."""
    monkeypatch.setattr(_file_state, "_SETTLED_NS", -1)


def write_subjects(folder: Path) -> list[Subject]:
    rng = np.random.default_rng(0)
    affine = np.diag([1.0, 2.0, 0.5, 1.0])
    made = []
    for number in range(4):
        voxels = rng.integers(-500, 500, (1, SIDE, SIDE, SIDE), dtype=np.int16)
        t1, seg = (folder / f"{name}{number}.nii.gz" for name in ("t1", "seg"))
        ScalarImage(tensor=voxels, affine=affine).save(t1)
        LabelMap(tensor=voxels % 3, affine=affine).save(seg)
        made.append(Subject(t1=ScalarImage(t1), seg=LabelMap(seg), number=number))
    return made


@pytest.fixture
def subjects(tmp_path: Path) -> list[Subject]:
    return write_subjects(tmp_path)


@pytest.fixture(scope="module")
def old_subjects(tmp_path_factory: pytest.TempPathFactory) -> list[Subject]:
    """Return subjects whose files worker processes trust."""
    made = write_subjects(tmp_path_factory.mktemp("old"))
    time.sleep(2.1)
    return made


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Note which files are decoded in this process."""
    names: list[str] = []

    def noting(decode: Callable[..., Any]) -> Callable[..., Any]:
        def note(source: NiftiSource, *arguments: Any) -> Any:
            names.append(Path(source.path or "").name)
            return decode(source, *arguments)

        return note

    for way in ("read", "slabs", "decode_into"):
        monkeypatch.setattr(NiftiSource, way, noting(getattr(NiftiSource, way)))
    return names


def batches(queue: Queue, epochs: int = 3) -> list[dict[str, Any]]:
    return [
        {"t1": batch["t1"]["data"].clone(), "at": batch["index_ini"], "who": batch["number"]}
        for _ in range(epochs)
        for batch in queue.batches(3)
    ]


def assert_same(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert all((one[key] == other[key]).all() for key in one)
        assert one["t1"].dtype == other["t1"].dtype


def kept(queue: Queue) -> dict[int, list[str]]:
    """Return the names of the images that the cache has, by subject."""
    assert queue._dispatcher is not None
    found = queue._dispatcher.inspect(lambda ledger, _: ledger._stored)
    assert found is not None
    return {subject: [volume.name for volume in stored] for subject, stored in found.items()}


@pytest.mark.parametrize("transform", [None, changing.double_in_place])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_patches_are_the_same_with_any_limit(
    make_queue: MakeQueue, old_subjects: list[Subject], transform: Any, num_workers: int
) -> None:
    def queue(limit: int | None) -> Queue:
        return make_queue(
            subjects=old_subjects, sampler=LabelSampler(4, "seg", {1: 1, 2: 1}),
            transform=transform, memory_cache=limit, num_workers=num_workers,
        )  # fmt: skip

    expected = batches(queue(0))
    for limit, images in ((None, 8), (IMAGE_BYTES * 3, 3)):
        limited = queue(limit)
        assert_same(batches(limited), expected)
        assert sum(map(len, kept(limited).values())) == images


def test_threads_give_the_same(make_queue: MakeQueue, subjects: list[Subject]) -> None:
    options: dict[str, Any] = {"subjects": subjects, "executor": "threads", "num_workers": 3}
    assert_same(batches(make_queue(**options)), batches(make_queue(**options, memory_cache=0)))


def test_what_fits_is_decoded_once(
    make_queue: MakeQueue, subjects: list[Subject], decoded: list[str]
) -> None:
    batches(make_queue(subjects=subjects))
    assert sorted(decoded) == sorted(f"{n}{k}.nii.gz" for n in ("t1", "seg") for k in range(4))


def test_what_does_not_fit_is_decoded_at_each_visit(
    make_queue: MakeQueue, subjects: list[Subject], decoded: list[str]
) -> None:
    queue = make_queue(subjects=subjects, memory_cache=2 * IMAGE_BYTES)
    assert queue.memory().cached == 2 * IMAGE_BYTES
    batches(queue)
    assert len(decoded) == 2 + 3 * 6  # one subject of four stays
    assert len(decoded) - len(set(decoded)) == 2 * 6


def test_a_changed_file_is_noticed(
    make_queue: MakeQueue, subjects: list[Subject], tmp_path: Path
) -> None:
    queue = make_queue(subjects=subjects, max_length=2, num_workers=0)
    batches(queue, 2)
    for number in range(4):
        image = subjects[number].t1
        image.with_data(np.full_like(image.read(), 77)).save(tmp_path / f"t1{number}.nii.gz")
    assert all((batch["t1"] == 77).all() for batch in batches(queue, 2))


def test_a_file_that_is_gone_is_named(
    make_queue: MakeQueue, subjects: list[Subject], tmp_path: Path
) -> None:
    queue = make_queue(subjects=subjects)
    batches(queue, 2)
    (tmp_path / "t12.nii.gz").unlink()
    with pytest.raises(RuntimeError, match=r"t12\.nii\.gz"):
        batches(queue, 1)


def test_files_that_were_written_a_moment_ago_are_kept_later(
    make_queue: MakeQueue,
    subjects: list[Subject],
    decoded: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue = make_queue(subjects=subjects, max_length=1, shuffle_subjects=False)
    monkeypatch.setattr(_file_state, "_SETTLED_NS", 10**15)
    batches(queue, 1)
    monkeypatch.setattr(_file_state, "_SETTLED_NS", -1)
    batches(queue, 3)
    assert len(decoded) == 2 * 8


def test_what_a_transform_changes_in_place_stays_in_its_visit(
    make_queue: MakeQueue, subjects: list[Subject], decoded: list[str]
) -> None:
    queue = make_queue(
        subjects=subjects, transform=changing.double_in_place, patch_size=SIDE, samples=1
    )
    for batch in batches(queue, 3):
        for voxels, number in zip(batch["t1"], batch["who"], strict=True):
            assert (voxels.numpy() == 2 * subjects[int(number)].t1.read()).all()
    assert len(decoded) == 8 + 12  # and those that this test compared with


@given(
    order=st.permutations(range(4)),
    shape=st.tuples(*[st.integers(1, 5)] * 4),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8", "bool"]),
    as_decoded=st.booleans(),
)
def test_what_comes_back_is_what_was_stored(
    order: list[int], shape: tuple[int, ...], dtype: str, as_decoded: bool
) -> None:
    voxels = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    lying = np.ascontiguousarray(voxels.transpose(order)).transpose(np.argsort(order))
    cache = MemoryCache(1 << 20)
    try:
        image = ScalarImage(tensor=lying)
        volume = cache._write("t1", "state", image, lying, as_decoded)
        assert volume is not None
        found = cache._view(volume, image).array
        assert found.dtype == voxels.dtype
        assert (found == voxels).all()
        long = [axis for axis in range(4) if shape[axis] > 1]
        wanted = lying if as_decoded else voxels
        assert [found.strides[axis] for axis in long] == [wanted.strides[axis] for axis in long]
        found[...] = 0
        assert (cache._view(volume, image).array == voxels).all()
    finally:
        cache.close()


def resident_bytes(cache: MemoryCache) -> int:
    return os.fstat(cache._fd).st_blocks * 512


@given(
    runs=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8),
    odd=st.integers(0, 3000),
)
def test_zeros_take_no_memory_and_are_read_and_written_as_any_voxel(
    runs: list[tuple[int, int]], odd: int
) -> None:
    """Some pages are not zero; the last one need not be whole."""
    voxels = np.zeros((1, 1, 1, 80 * 4096 + odd), np.uint8)
    for first, length in runs:
        voxels[..., first * 4096 + odd :: 4096][..., :length] = 1
    cache = MemoryCache(1 << 20)
    try:
        image = ScalarImage(tensor=voxels)
        volume = cache._write("seg", "state", image, voxels, False)
        assert volume is not None
        taken = resident_bytes(cache)
        empty = sum(fin - ini for ini, fin in volume.zeros)
        assert all(not voxels[0, 0, 0, ini:fin].any() for ini, fin in volume.zeros)
        assert taken == 4096 + -(-voxels.nbytes // 4096) * 4096 - empty
        assert empty >= (80 - sum(length for _, length in runs) - 3 * 9) * 4096
        for _ in range(2):
            found = cache._view(volume, image).array
            assert (found == voxels).all()
            found += 1
            assert (found == voxels + 1).all()
        assert resident_bytes(cache) == taken  # to read zeros made no pages of them
    finally:
        cache.close()


def test_what_zeros_leave_free_is_room_for_others() -> None:
    cache = MemoryCache(8 * IMAGE_BYTES)
    image = ScalarImage(tensor=np.zeros((1, 1, 1, 4 * IMAGE_BYTES), np.uint8))
    voxels = image.array

    def is_kept() -> bool:
        return cache._write("seg", "state", image, voxels, False) is not None

    try:
        assert all(is_kept() for _ in range(9))
        voxels[...] = 1
        assert [is_kept() for _ in range(3)] == [True, True, False]
    finally:
        cache.close()


@pytest.mark.parametrize("as_decoded", [False, True])
def test_a_file_of_several_channels_is_kept_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_decoded: bool
) -> None:
    """Pieces that are turned one by one end within a channel, and with it."""
    monkeypatch.setattr(_nifti, "_SLAB_BYTES", 1)
    monkeypatch.setattr(_nifti, "_LEAST_SLICES", 4)
    voxels = np.random.default_rng(0).integers(-500, 500, (3, 5, 6, 7), dtype=np.int16)
    path = write_nifti(tmp_path / "t1.nii.gz", voxels)
    cache = MemoryCache(1 << 20)
    images, stored = cache.store({"t1": ScalarImage(path)}, as_decoded=as_decoded)
    assert stored
    assert (images["t1"].array == voxels).all()
    cache.close()


@pytest.mark.parametrize("largest", [15, 16])
@pytest.mark.parametrize("kind", [LabelMap, ScalarImage])
@pytest.mark.parametrize("as_decoded", [False, True])
def test_labels_that_are_few_take_four_bits(
    tmp_path: Path, largest: int, kind: Any, as_decoded: bool
) -> None:
    voxels = np.random.default_rng(0).integers(1, largest + 1, (1, 31, 32, 64), dtype=np.int16)
    voxels[0, -1, -1, -1] = largest
    image = kind(write_nifti(tmp_path / "seg.nii.gz", voxels))
    cache = MemoryCache(1 << 20)
    try:
        images, stored = cache.store({"seg": image}, as_decoded=as_decoded)
        assert stored is not None
        is_packed = largest == 15 and kind is LabelMap and not as_decoded
        taken = 16 * 32 * 64 if is_packed else voxels.nbytes
        assert resident_bytes(cache) == 4096 + taken
        assert cache._number(_memory_cache._TAKEN) - cache._number(_memory_cache._ZEROS) == taken
        again = cache.recall(Subject(seg=image), stored)
        for found in (images["seg"], again["seg"]):
            assert type(found) is kind
            assert found.dtype == np.int16
            assert (found.read() == voxels).all()
            assert (found.affine == image.affine).all()
    finally:
        cache.close()


@pytest.mark.parametrize("as_decoded", [False, True])
def test_a_damaged_file_takes_no_room(
    subjects: list[Subject], tmp_path: Path, as_decoded: bool
) -> None:
    whole = Path(subjects[0].t1.path)
    damaged = tmp_path / "cut.nii.gz"
    damaged.write_bytes(whole.read_bytes()[:-100])
    cache = MemoryCache(2 * IMAGE_BYTES)
    for _ in range(3):
        with pytest.raises(VolumeReadError, match=r"cut\.nii\.gz"):
            cache.store({"t1": ScalarImage(damaged)}, as_decoded=as_decoded)
    _, stored = cache.store(to_store(subjects[0]), as_decoded=as_decoded)
    assert stored is not None
    assert len(stored) == 2
    cache.close()


def test_nobody_waits_for_whoever_holds_the_lock(subjects: list[Subject]) -> None:
    """A worker may be stopped, or swapped out, at any instruction."""
    cache = MemoryCache(1 << 20)
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import fcntl,sys; fcntl.lockf({cache._fd}, fcntl.LOCK_EX, 8); print(1, flush=True); "
            "sys.stdin.read()",
        ],
        pass_fds=[cache._fd],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"1\n"
        images, stored = cache.store(to_store(subjects[0]), as_decoded=False)
        assert set(images) == {"t1", "seg"}
        assert stored == ()
        holder.kill()  # and takes its lock with it
        holder.wait()
        _, stored = cache.store(to_store(subjects[0]), as_decoded=False)
        assert stored is not None
        assert [volume.name for volume in stored] == ["t1", "seg"]
    cache.close()


def test_nothing_is_kept_where_little_memory_is_left(
    subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = MemoryCache(1 << 20)
    monkeypatch.setattr(_memory_cache, "available_bytes", lambda: IMAGE_BYTES)
    images, stored = cache.store(to_store(subjects[0]), as_decoded=False)
    assert (images["t1"].array == subjects[0].t1.read()).all()
    assert stored == ()
    cache.close()


def test_only_what_would_be_decoded_again_is_kept(subjects: list[Subject], tmp_path: Path) -> None:
    subjects[0].t1.save(tmp_path / "plain.nii")
    subject = Subject(
        packed=subjects[0].t1,
        by_region=ScalarImage(tmp_path / "plain.nii"),
        loaded=ScalarImage(subjects[1].t1.path).load(),
        own=ScalarImage(subjects[2].t1.path, reader=lambda path: (np.zeros((1, 2, 2, 2)), None)),
        checked=ScalarImage(subjects[3].t1.path, check_nans=True),
    )
    assert list(to_store(subject)) == ["packed"]


def test_nothing_is_left_open(make_queue: MakeQueue, subjects: list[Subject]) -> None:
    gc.collect()  # what earlier tests left must not end in between
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for options in ({}, {"num_workers": 1}, {"num_workers": 2, "executor": "threads"}):
        queue = make_queue(subjects=subjects, **options)
        batches(queue, 2)
        queue.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_killed_worker_takes_nothing_with_it(
    make_queue: MakeQueue, old_subjects: list[Subject], tmp_path: Path
) -> None:
    end = changing.EndWorker(tmp_path / "mark", 1)
    queue = make_queue(
        subjects=old_subjects, num_workers=1, on_error="retry", transform=end, samples=1
    )
    survived = batches(queue)
    assert (tmp_path / "mark").stat().st_size == 1
    assert_same(survived, batches(make_queue(subjects=old_subjects, samples=1, memory_cache=0)))
    assert set(kept(queue)) == {0, 1, 2, 3}


def test_the_default_leaves_room(
    make_queue: MakeQueue, subjects: list[Subject], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = 8 * IMAGE_BYTES
    queue = make_queue(subjects=subjects)
    assert queue.memory().cached == everything
    assert f"{everything / 2**20:.1f} MiB of volumes that stay decoded" in str(queue.memory())
    taken = queue.memory().total - everything
    monkeypatch.setattr(_memory, "available_bytes", lambda: taken + 4 * IMAGE_BYTES)
    assert queue.memory().cached == IMAGE_BYTES  # a quarter of what is left
    monkeypatch.setattr(_memory, "_LEAST_SHARE", 1 / 7)
    assert queue.memory().cached == 0  # an eighth of the subjects is too few
    with pytest.raises(MemoryError, match="or memory_cache=0"):
        make_queue(subjects=subjects, memory_cache=everything)


def test_where_a_folder_keeps_volumes_memory_does_not(
    make_queue: MakeQueue, subjects: list[Subject], tmp_path: Path
) -> None:
    dataset = SubjectsDataset(subjects, cache=tmp_path / "cache")
    with Queue(dataset, 6, 3, LabelSampler(4, "seg"), seed=0) as queue:
        assert queue.memory().cached == 0
    images_in_memory = make_queue()
    assert images_in_memory.memory().cached == 0


@pytest.mark.parametrize("limit", [-1, 1.5, True, "1 GiB"])
def test_a_limit_is_a_number_of_bytes(make_queue: MakeQueue, limit: Any) -> None:
    with pytest.raises(ValueError, match="memory_cache is a whole number of at least 0"):
        make_queue(memory_cache=limit)
