"""blosc2 arrays on a real S3 server and a plain HTTP server, as the local reader gives them."""

import itertools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from object_server import ObjectServer
from test_remote_hdf5 import (
    AFFINE,
    BOX,
    CHUNK,
    METADATA_BYTES,
    SHAPE,
    VOXELS,
    check_patches,
    random_boxes,
)
from test_remote_http import serve

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import VolumeNotFoundError, VolumeReadError, VoxloomError
from voxloom.geometry import Box
from voxloom.io import Blosc2Source, _object_store, open_volume
from voxloom.testing import check_reader

blosc2 = pytest.importorskip("blosc2")

Served = tuple[str, list[str], list[int]]


def as_nnunet(path: Path, voxels: np.ndarray[Any, Any], affine: Any = None) -> None:
    """Write ``(C, z, y, x)`` as nnU-Net 2.8 does: lz4hc, blocks within chunks."""
    options = {"codec": blosc2.Codec.LZ4HC, "clevel": 8}
    chunks, blocks = (1, *(CHUNK,) * 3), (1, *(CHUNK // 2,) * 3)
    name = str(path)
    array = blosc2.asarray(voxels, urlpath=name, chunks=chunks, blocks=blocks, cparams=options)
    if affine is not None:
        array.schunk.vlmeta["affine"] = affine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds t1.b2nd, with an affine."""
    folder = tmp_path_factory.mktemp("volumes")
    as_nnunet(folder / "t1.b2nd", VOXELS[None], AFFINE.tolist())
    return folder


@pytest.fixture
def stored(s3: ObjectServer, folder: Path) -> str:
    """Return where the array lies on the S3 server."""
    return f"{s3.upload(folder)}/t1.b2nd"


@pytest.fixture
def server(folder: Path) -> Iterator[Served]:
    """Serve the folder over HTTP: its address, the faults to come, and the bytes sent."""
    with serve(folder) as served:
        yield served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Return the address of a folder that is served, and the folder: for files of a test's own."""
    folder = tmp_path_factory.mktemp("served")
    with serve(folder) as (address, _, _):
        yield address, folder


def chunk_bytes_of(path: Path, boxes: list[Box]) -> int:
    """Return the bytes, as stored, of the chunks that each box touches."""
    array = blosc2.open(str(path), mode="r")
    counts = [-(-n // CHUNK) for n in SHAPE]
    sizes = [len(array.schunk.get_chunk(number)) for number in range(array.schunk.nchunks)]
    total = 0
    for box in boxes:
        grid = [
            range(first // CHUNK, -(-stop // CHUNK))
            for first, stop in zip(box.index_ini, box.index_fin, strict=True)
        ]
        total += sum(sizes[np.ravel_multi_index(at, counts)] for at in itertools.product(*grid))
    return total


def test_a_box_comes_from_s3(stored: str) -> None:
    source = open_volume(stored)
    check_reader(source, boxes=3)
    assert source.chunk_shape == (CHUNK,) * 3
    np.testing.assert_array_equal(source.affine, AFFINE)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


def test_a_box_comes_over_http(server: Served) -> None:
    source = open_volume(f"{server[0]}/t1.b2nd")
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    np.testing.assert_array_equal(source.read()[0], VOXELS)


def test_a_hundred_patches_cost_the_chunks_that_they_touch(
    stored: str, s3: ObjectServer, folder: Path
) -> None:
    boxes = random_boxes(100, 24)
    touched = chunk_bytes_of(folder / "t1.b2nd", boxes)
    s3.sent()
    source = Blosc2Source(stored)
    opening = sum(s3.sent().values())
    assert 0 < opening <= METADATA_BYTES
    for box in boxes:
        np.testing.assert_array_equal(source.read(box)[0], VOXELS[box.slices])
    sent = sum(s3.sent().values())
    assert 0.9 * touched < sent <= 1.01 * touched


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_fault_of_s3_that_passes_is_tried_again(
    stored: str, s3: ObjectServer, fault: str
) -> None:
    source = open_volume(stored)
    s3.spoil(fault, 2)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


@pytest.mark.parametrize("fault", ["busy", "reset", "cut", "slow"])
def test_a_fault_of_http_that_passes_is_tried_again(server: Served, fault: str) -> None:
    url, faults, _ = server
    source = open_volume(f"{url}/t1.b2nd")
    faults += [fault, fault]
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    assert faults == []


def test_a_fault_that_stays_is_one_error_with_the_address(
    stored: str, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_object_store, "MOST_RETRIES", 1)
    _object_store._open.cache_clear()
    source = open_volume(stored)
    s3.spoil("busy", 10_000)
    with pytest.raises(VolumeReadError, match=r"t1\.b2nd: .* check the address, the network"):
        source.read(BOX)
    s3.spoil("none", 0)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    _object_store._open.cache_clear()


def test_what_is_not_there_is_named(stored: str) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"gone\.b2nd: there is no such file"):
        open_volume(stored.replace("t1", "gone"))


def test_a_queue_reads_regions_of_it(stored: str) -> None:
    subjects = [Subject(t1=ScalarImage(stored), subject_id=f"s{n}") for n in range(2)]
    patches = list(Queue(SubjectsDataset(subjects), 8, 4, UniformSampler(24), 2, seed=3))
    check_patches(patches)


numbers = itertools.count()


@contextmanager
def fresh(place: tuple[str, Path]) -> Iterator[tuple[str, Path]]:
    """Give a new name in the folder that is served: its address, and its path."""
    path = place[1] / f"t{next(numbers)}.b2nd"
    yield f"{place[0]}/{path.name}", path
    path.unlink()


def test_a_file_that_was_replaced_is_read_anew(place: tuple[str, Path]) -> None:
    path = place[1] / "replaced.b2nd"
    for voxels in (VOXELS[None, :20], VOXELS[None, :30] + 1):
        path.unlink(missing_ok=True)
        as_nnunet(path, voxels)
        source = open_volume(f"{place[0]}/{path.name}")
        np.testing.assert_array_equal(source.read(), voxels)


@st.composite
def arrays(draw: st.DrawFn) -> tuple[dict[str, Any], np.ndarray[Any, Any], Box]:
    """Draw how an array is written, its voxels, part of them constant, and a box of it."""
    axes = draw(st.sampled_from([2, 3, 4]))
    shape = tuple(draw(st.lists(st.integers(1, 13), min_size=axes, max_size=axes)))
    chunks = tuple(draw(st.integers(-(-n // 3), n)) for n in shape)
    blocks = tuple(draw(st.integers(1, n)) for n in chunks)
    dtype = np.dtype(draw(st.sampled_from(["?", "u1", "<i2", ">i2", "<f4", ">f8", "<i8", "<u4"])))
    some = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 99, shape).astype(dtype)
    stop = draw(st.integers(0, shape[0]))
    some[:stop] = draw(st.sampled_from([0, 1]))
    cparams = {
        "codec": draw(st.sampled_from([blosc2.Codec.LZ4, blosc2.Codec.ZSTD, blosc2.Codec.BLOSCLZ])),
        "clevel": draw(st.sampled_from([0, 1, 9])),
        "filters": [draw(st.sampled_from(list(blosc2.Filter)[:3]))],
    }
    options = {"chunks": chunks, "blocks": blocks, "cparams": cparams}
    space = (*shape[-3:], 1)[:3]
    first = tuple(draw(st.integers(0, n - 1)) for n in space)
    last = tuple(draw(st.integers(i + 1, n)) for i, n in zip(first, space, strict=True))
    return options, some, Box(first, last)


@settings(max_examples=25, deadline=None)
@given(drawn=arrays(), rewrite=st.booleans())
def test_a_box_by_url_is_what_the_local_reader_gives(
    place: tuple[str, Path],
    drawn: tuple[dict[str, Any], np.ndarray[Any, Any], Box],
    rewrite: bool,
) -> None:
    options, voxels, box = drawn
    with fresh(place) as (url, path):
        array = blosc2.asarray(voxels, urlpath=str(path), **options)
        if rewrite:
            array[...] = voxels[::-1].copy()
        del array
        local, remote = Blosc2Source(path), Blosc2Source(url)
        assert (remote.shape, remote.dtype) == (local.shape, local.dtype)
        assert remote.chunk_shape == local.chunk_shape
        np.testing.assert_array_equal(remote.read(box), local.read(box))
        np.testing.assert_array_equal(remote.read(), local.read())


@pytest.mark.parametrize("make", ["zeros", "nans", "full", "empty"])
def test_chunks_without_bytes_are_read(place: tuple[str, Path], make: str) -> None:
    with fresh(place) as (url, path):
        value = {"fill_value": 3.5} if make == "full" else {}
        options = {"urlpath": str(path), "chunks": (8, 8, 8), "blocks": (4, 3, 5)}
        array = getattr(blosc2, make)((20, 19, 18), dtype="f4", **value, **options)
        if make == "empty":
            array[:] = 0
        array[2:5, 2:5, 2:5] = 7
        del array
        np.testing.assert_array_equal(Blosc2Source(url).read(), Blosc2Source(path).read())


def test_an_affine_that_is_an_array_is_read_as_the_library_does(place: tuple[str, Path]) -> None:
    with fresh(place) as (url, path):
        as_nnunet(path, VOXELS[None, :9], AFFINE)
        np.testing.assert_array_equal(Blosc2Source(url).affine, Blosc2Source(path).affine)
        np.testing.assert_array_equal(Blosc2Source(url).affine, AFFINE)


def test_a_volume_of_terabytes_that_holds_one_chunk_costs_one_chunk(
    place: tuple[str, Path],
) -> None:
    with fresh(place) as (url, path):
        options = {"chunks": (256,) * 3, "blocks": (32,) * 3, "urlpath": str(path)}
        array = blosc2.zeros((20_000,) * 3, dtype="u1", **options)
        array[5000:5002, 5000:5002, 5000:5002] = 9
        del array
        voxels = Blosc2Source(url).read(Box((4999,) * 3, (5003,) * 3))
        assert (voxels.sum(dtype=int), prod(voxels.shape)) == (8 * 9, 64)


@pytest.fixture(scope="module")
def frame(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("frame") / "t1.b2nd"
    as_nnunet(path, VOXELS[None, :40, :40, :40], AFFINE.tolist())
    return path.read_bytes()


def said_over(url: str) -> str:
    """Return what our error says when a file is read, nothing where it can be."""
    try:
        source = Blosc2Source(url)
        if source.shape == (1, 40, 40, 40):
            source.read()
    except VoxloomError as error:
        return str(error)
    return ""


def test_a_damaged_frame_gives_our_error_with_its_address(
    place: tuple[str, Path], frame: bytes
) -> None:
    header = int.from_bytes(frame[11:15], "big")
    trailer = int.from_bytes(frame[-22:-18], "big")
    # The header, the first chunk's, the index and the trailer say how long the others are.
    tail = range(len(frame) - trailer - 100, len(frame))
    where = [range(header), range(header, header + 64), tail]
    draws = random.Random(0)
    refused = []
    for number in range(60):
        content = bytearray(frame)
        for _ in range(draws.choice([1, 1, 4])):
            content[draws.choice(where[number % 3])] = draws.choice([0, 1, 0x7F, 0x80, 0xFF])
        with fresh(place) as (url, path):
            path.write_bytes(content)
            refused.append(said_over(url))
    assert all(said == "" or said.startswith(place[0]) for said in refused)
    assert len([said for said in refused if said]) > 15


def spoiled(frame: bytes, at: int, new: bytes) -> bytes:
    return frame[:at] + new + frame[at + len(new) :]


@pytest.mark.parametrize(
    ("at", "new", "said"),
    [
        (2, b"x", "does not begin as a blosc2 array in one file does"),
        (26, b"\x11", "its chunks lie in files of their own; write it with contiguous=True"),
        (11, b"\x7f\xff\xff\xff", "says its header has 2147483647 bytes"),
        (39, b"\x7f" + b"\xff" * 7, r"says its chunks have \d+ bytes"),
        (-22, b"\x7f\xff\xff\xff", "says its trailer has 2147483647 bytes"),
        (-22, b"\x00\x00\x00\x00", "cannot read it"),
    ],
)
def test_what_a_frame_says_is_held_against_its_length(
    place: tuple[str, Path], frame: bytes, at: int, new: bytes, said: str
) -> None:
    with fresh(place) as (url, path):
        path.write_bytes(spoiled(frame, at % len(frame), new))
        with pytest.raises(VolumeReadError, match=rf"{url}: .*{said}"):
            Blosc2Source(url)


def test_chunks_that_the_library_decodes_wrong_are_refused(place: tuple[str, Path]) -> None:
    with fresh(place) as (url, path):
        filters = {"filters": [blosc2.Filter.SHUFFLE, blosc2.Filter.DELTA]}
        blosc2.asarray(VOXELS, urlpath=str(path), cparams=filters)
        for name in (url, path):
            with pytest.raises(VolumeReadError, match=rf"{name}: .* DELTA, .* write it again"):
                Blosc2Source(name)


def test_a_frame_that_is_cut_is_refused(place: tuple[str, Path], frame: bytes) -> None:
    with fresh(place) as (url, path):
        path.write_bytes(frame[:-9])
        with pytest.raises(VolumeReadError, match=r"b2nd: says it has \d+ bytes, it has \d+"):
            Blosc2Source(url)


def test_a_chunk_of_another_size_is_refused(place: tuple[str, Path], frame: bytes) -> None:
    header = int.from_bytes(frame[11:15], "big")
    with fresh(place) as (url, path):
        path.write_bytes(spoiled(frame, header + 4, b"\xff\xff\xff\x7f"))
        with pytest.raises(VolumeReadError, match=r"has a chunk of 2147483647 bytes in blocks of"):
            Blosc2Source(url).read()


def test_plain_bytes_are_no_array(place: tuple[str, Path]) -> None:
    with fresh(place) as (url, path):
        blosc2.SChunk(chunksize=100, data=bytes(300), urlpath=str(path), contiguous=True)
        with pytest.raises(VolumeReadError, match=r"expected an array, it holds plain bytes"):
            Blosc2Source(url)


def test_more_chunks_than_an_index_may_hold_are_refused(
    place: tuple[str, Path], frame: bytes
) -> None:
    at = frame.index(b"\x97\x00\x04\x94\xd3") + 5  # the first axis in the array's own metadata
    with fresh(place) as (url, path):
        path.write_bytes(spoiled(frame, at, (1 << 40).to_bytes(8, "big")))
        with pytest.raises(VolumeReadError, match=r"it has 8796093022208 chunks, more than an in"):
            Blosc2Source(url)


def test_elements_that_are_not_of_numpy_are_refused(place: tuple[str, Path], frame: bytes) -> None:
    with fresh(place) as (url, path):
        path.write_bytes(spoiled(frame, frame.index(b"\x00\xdb\x00\x00\x00\x03<i2"), b"\x01"))
        with pytest.raises(VolumeReadError, match=r"has elements of a type that is not NumPy's"):
            Blosc2Source(url)


def test_an_index_that_leads_out_of_the_chunks_is_refused(
    place: tuple[str, Path], frame: bytes
) -> None:
    chunks_end = int.from_bytes(frame[11:15], "big") + int.from_bytes(frame[39:47], "big")
    trailer = frame[-int.from_bytes(frame[-22:-18], "big") :]
    offsets = np.full(8, 2**63 - 1, dtype="<i8")
    content = frame[:chunks_end] + blosc2.compress2(offsets, typesize=8) + trailer
    with fresh(place) as (url, path):
        path.write_bytes(spoiled(content, 16, len(content).to_bytes(8, "big")))
        with pytest.raises(VolumeReadError, match=r"has an index that leads out of its chunks"):
            Blosc2Source(url)


def test_an_affine_of_megabytes_is_not_unpacked(place: tuple[str, Path]) -> None:
    with fresh(place) as (url, path):
        as_nnunet(path, VOXELS[None, :9], [0.0] * (1 << 18))
        with pytest.raises(VolumeReadError, match=r"has an affine of more than 1048576 bytes"):
            Blosc2Source(url)
