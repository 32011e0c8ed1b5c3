"""Volumes on a real S3 server: what it sends, what it fails to, and all of it in workers too."""

from pathlib import Path

import numpy as np
import pytest
import zarr
from object_server import BUCKET, ObjectServer

from voxloom import LabelMap, Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import (
    ZarrSource,
    _object_store,
    _remote,
    _tensorstore,
    _zarr_python,
    open_volume,
    write_zarr,
)
from voxloom.testing import check_reader

VOXELS = np.random.default_rng(0).integers(0, 99, (100, 90, 80)).astype(np.int16)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
BOX = Box((10, 20, 30), (60, 70, 80))
CHUNK = 16


@pytest.fixture
def sharded(s3: ObjectServer, tmp_path: Path) -> str:
    return s3.upload(Path(write_zarr(tmp_path / "t1.zarr", VOXELS, AFFINE, chunk=CHUNK)))


@pytest.fixture
def plain(s3: ObjectServer, tmp_path: Path) -> str:
    chunks = (CHUNK, CHUNK, CHUNK)
    array = zarr.create_array(str(tmp_path / "plain.zarr"), data=VOXELS, chunks=chunks)
    assert array.shards is None
    return s3.upload(tmp_path / "plain.zarr")


@pytest.fixture(params=["tensorstore", "zarr-python"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_tensorstore, "is_usable", lambda: request.param == "tensorstore")
    return str(request.param)


@pytest.mark.usefixtures("library")
def test_a_box_comes_from_s3(sharded: str) -> None:
    source = open_volume(sharded)
    check_reader(source, boxes=3)
    np.testing.assert_array_equal(source.affine, AFFINE)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_fault_that_passes_is_tried_again(sharded: str, s3: ObjectServer, fault: str) -> None:
    source = open_volume(sharded)
    s3.spoil(fault, 2)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_fault_that_stays_is_one_error_with_the_address(
    sharded: str, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(_object_store, "MOST_RETRIES", 2)
    monkeypatch.setitem(_tensorstore._RETRIES, "max_retries", 2)
    forget_what_is_open()
    source = open_volume(sharded)
    s3.spoil(fault, 10_000)
    with pytest.raises(VolumeReadError, match=r"s3://volumes/t1\.zarr/0: .* cannot read it"):
        source.read(BOX)
    forget_what_is_open()


def forget_what_is_open() -> None:
    for module in (_tensorstore, _object_store, _zarr_python):
        module._open.cache_clear()
    _tensorstore._context.cache_clear()


@pytest.mark.usefixtures("library")
def test_a_bucket_that_is_not_there_is_named(s3: ObjectServer) -> None:
    with pytest.raises(VolumeReadError, match=r"s3://nothing/t1\.zarr"):
        open_volume("s3://nothing/t1.zarr")


def random_boxes(count: int, size: int) -> list[Box]:
    most = np.array(VOXELS.shape) - size
    corners = np.random.default_rng(1).integers(0, most + 1, (count, 3)).tolist()
    return [Box((i, j, k), (i + size, j + size, k + size)) for i, j, k in corners]


def stored_bytes_of(boxes: list[Box], chunk_bytes: dict[tuple[int, ...], int]) -> int:
    """Return the bytes, as stored, of the chunks that each box touches."""
    total = 0
    for box in boxes:
        corners = zip(box.index_ini, box.index_fin, strict=True)
        ranges = tuple(slice(a // CHUNK, -(-b // CHUNK)) for a, b in corners)
        places = np.mgrid[ranges].reshape(3, -1).T
        total += sum(chunk_bytes[tuple(place)] for place in places.tolist())
    return total


def chunk_bytes_of(folder: Path) -> dict[tuple[int, ...], int]:
    counts = [-(-n // CHUNK) for n in VOXELS.shape]
    array = ZarrSource(folder).array
    if not array.is_sharded:
        return {place: (folder / array.key(place)).stat().st_size for place in np.ndindex(*counts)}
    shard = next(file for file in (folder / "0" / "c").rglob("*") if file.is_file())
    per_shard = [a // b for a, b in zip(array.shard, array.chunks, strict=True)]
    index = np.frombuffer(shard.read_bytes()[-16 * int(np.prod(per_shard)) - 4 : -4], "<u8")
    lengths = index.reshape(*per_shard, 2)[0, ..., 1]
    return {place: int(lengths[place]) for place in np.ndindex(*counts)}


@pytest.mark.parametrize("layout", ["sharded", "plain"])
def test_a_hundred_patches_cost_the_chunks_that_they_touch(
    layout: str, library: str, s3: ObjectServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = open_volume(request.getfixturevalue(layout))
    boxes = random_boxes(100 if library == "tensorstore" else 20, 24)  # the other is slow
    s3.sent()
    for box in boxes:
        np.testing.assert_array_equal(source.read(box)[0], VOXELS[box.slices])
    sent = sum(s3.sent().values())
    name = "t1.zarr" if layout == "sharded" else "plain.zarr"
    touched = stored_bytes_of(boxes, chunk_bytes_of(tmp_path / name))
    assert 0 < sent <= 1.5 * touched


def test_images_take_urls_and_read_no_voxels_before_they_are_asked(
    sharded: str, s3: ObjectServer
) -> None:
    s3.sent()
    image = ScalarImage(sharded)
    assert s3.sent() == {}
    assert image.shape == (1, *VOXELS.shape)
    assert image["path"] == sharded
    assert image["stem"] == "t1"
    assert max(s3.sent().values()) < 10_000
    np.testing.assert_array_equal(image.array[0], VOXELS)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_queue_reads_regions_from_s3(sharded: str, s3: ObjectServer, num_workers: int) -> None:
    subjects = [
        Subject(t1=ScalarImage(sharded), seg=LabelMap(sharded), subject_id=f"s{n}")
        for n in range(3)
    ]
    queue = Queue(SubjectsDataset(subjects), 12, 4, UniformSampler(24), num_workers, seed=3)
    s3.sent()
    patches = list(queue)
    sent = sum(s3.sent().values())
    assert len(patches) == 12
    for patch in patches:
        i, j, k, *_ = patch["location"].tolist()
        expected = VOXELS[i : i + 24, j : j + 24, k : k + 24]
        np.testing.assert_array_equal(patch["t1"]["data"][0], expected)
        np.testing.assert_array_equal(patch["seg"]["data"][0], expected)
    assert sent < 12 * 2 * VOXELS.nbytes / 3


def test_a_table_names_volumes_by_url(sharded: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(f"subject_id,t1:intensity\na,{sharded}\n")
    dataset = SubjectsDataset.from_csv(tmp_path / "table.csv")
    dataset.to_csv(tmp_path / "again.csv")
    assert sharded in (tmp_path / "again.csv").read_text()
    assert dataset.check().rows[0].shape == (1, *VOXELS.shape)
    assert BUCKET in dataset.check().rows[0].paths[0]


def test_a_server_is_given_up_in_seconds() -> None:
    growing = (_remote.RETRY_FIRST_S * 2**n for n in range(_remote.MOST_RETRIES))
    waits = [min(wait, _remote.RETRY_LONGEST_S) for wait in growing]
    assert 5 < sum(waits) < 20
