"""HDF5 files on a real S3 server and a plain HTTP server: a patch costs the chunks it touches."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from object_server import ObjectServer
from test_remote_http import serve

from voxloom import Queue, ScalarImage, Subject, SubjectsDataset, UniformSampler
from voxloom._errors import VolumeNotFoundError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import _hdf5, _object_store, open_volume
from voxloom.testing import check_reader

SHAPE = (100, 90, 80)
CHUNK = 32
VOXELS = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.int16)
AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
BOX = Box((10, 20, 30), (60, 70, 80))
METADATA_BYTES = 1 << 16
"""The file's own records, by blocks of 16 KiB: for opening it, once a process."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds t1.h5, in chunks, and plain.h5, in one piece."""
    folder = tmp_path_factory.mktemp("volumes")
    with h5py.File(folder / "t1.h5", "w") as file:
        made = file.create_dataset("t1", data=VOXELS, chunks=(CHUNK,) * 3, compression="gzip")
        made.attrs["affine"] = AFFINE
    with h5py.File(folder / "plain.h5", "w") as file:
        file["t1"] = VOXELS
    return folder


@pytest.fixture
def stored(s3: ObjectServer, folder: Path) -> str:
    """Return where the folder lies on the S3 server."""
    _hdf5._open.cache_clear()
    return s3.upload(folder)


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[str, list[str], list[int]]]:
    """Serve the folder over HTTP: its address, the faults to come, and the bytes sent."""
    with serve(folder) as served:
        yield served


def chunk_bytes_of(path: Path, boxes: list[Box]) -> int:
    """Return the bytes, as stored, of the chunks that each box touches."""
    total = 0
    with h5py.File(path) as file:
        for box in boxes:
            corners = [
                range(first // CHUNK * CHUNK, stop, CHUNK)
                for first, stop in zip(box.index_ini, box.index_fin, strict=True)
            ]
            for corner in np.array(np.meshgrid(*corners)).reshape(3, -1).T.tolist():
                total += file["t1"].id.get_chunk_info_by_coord(tuple(corner)).size
    return total


def random_boxes(count: int, size: int) -> list[Box]:
    corners = np.random.default_rng(1).integers(0, np.array(SHAPE) - size + 1, (count, 3)).tolist()
    return [Box((i, j, k), (i + size, j + size, k + size)) for i, j, k in corners]


def check_patches(patches: list[Subject]) -> None:
    """Check that there are eight patches of 24 voxels a side, each from where it says."""
    assert len(patches) == 8
    for patch in patches:
        i, j, k, *_ = patch["location"].tolist()
        expected = VOXELS[i : i + 24, j : j + 24, k : k + 24]
        np.testing.assert_array_equal(patch["t1"]["data"][0], expected)


@pytest.mark.parametrize("name", ["t1.h5", "plain.h5"])
def test_a_box_comes_from_s3(stored: str, name: str) -> None:
    source = open_volume(f"{stored}/{name}")
    check_reader(source, boxes=3)
    np.testing.assert_array_equal(source.affine, AFFINE if name == "t1.h5" else np.eye(4))
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


def test_a_box_comes_over_http(server: tuple[str, list[str], list[int]]) -> None:
    source = open_volume(f"{server[0]}/t1.h5")
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    np.testing.assert_array_equal(source.read()[0], VOXELS)


def test_a_hundred_patches_cost_the_chunks_that_they_touch(
    stored: str, s3: ObjectServer, folder: Path
) -> None:
    boxes = random_boxes(100, 24)
    touched = chunk_bytes_of(folder / "t1.h5", boxes)
    s3.sent()
    source = open_volume(f"{stored}/t1.h5")
    opening = sum(s3.sent().values())
    assert 0 < opening <= METADATA_BYTES
    for box in boxes:
        np.testing.assert_array_equal(source.read(box)[0], VOXELS[box.slices])
    sent = sum(s3.sent().values())
    assert 0.9 * touched < sent <= 1.01 * touched + METADATA_BYTES


def test_a_box_of_a_file_in_one_piece_does_not_cost_the_file(stored: str, s3: ObjectServer) -> None:
    source = open_volume(f"{stored}/plain.h5")
    s3.sent()
    source.read(Box((40, 40, 40), (48, 48, 48)))
    assert sum(s3.sent().values()) <= VOXELS.nbytes / 2


@pytest.mark.parametrize("fault", ["busy", "reset", "cut"])
def test_a_fault_of_s3_that_passes_is_tried_again(
    stored: str, s3: ObjectServer, fault: str
) -> None:
    source = open_volume(f"{stored}/t1.h5")
    s3.spoil(fault, 2)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])


@pytest.mark.parametrize("fault", ["busy", "reset", "cut", "slow"])
def test_a_fault_of_http_that_passes_is_tried_again(
    server: tuple[str, list[str], list[int]], fault: str
) -> None:
    url, faults, _ = server
    source = open_volume(f"{url}/t1.h5")
    faults += [fault, fault]
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    assert faults == []


@pytest.mark.parametrize("fault", ["busy", "cut"])
def test_a_fault_that_stays_is_one_error_with_the_address(
    stored: str, s3: ObjectServer, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(_object_store, "MOST_RETRIES", 1)
    _object_store._open.cache_clear()
    source = open_volume(f"{stored}/t1.h5")
    s3.spoil(fault, 10_000)
    with pytest.raises(VolumeReadError, match=r"s3://.*/t1\.h5: .* check the address, the network"):
        source.read(BOX)
    s3.spoil("none", 0)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices])
    _object_store._open.cache_clear()


def test_what_is_not_there_is_named(stored: str) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"gone\.h5: there is no such file"):
        open_volume(f"{stored}/gone.h5")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_queue_reads_regions_of_it(stored: str, num_workers: int) -> None:
    subjects = [Subject(t1=ScalarImage(f"{stored}/t1.h5"), subject_id=f"s{n}") for n in range(2)]
    queue = Queue(SubjectsDataset(subjects), 8, 4, UniformSampler(24), num_workers, seed=3)
    patches = list(queue)
    check_patches(patches)


def test_a_file_that_was_replaced_is_read_anew(s3: ObjectServer, tmp_path: Path) -> None:
    folder = tmp_path / "replaced"
    folder.mkdir()
    for voxels in (VOXELS[:20], VOXELS[:20] + 1):
        with h5py.File(folder / "t1.h5", "w") as file:
            file["t1"] = voxels
        source = open_volume(f"{s3.upload(folder)}/t1.h5")
        np.testing.assert_array_equal(source.read()[0], voxels)


def test_a_process_that_read_one_ends_well(server: tuple[str, list[str], list[int]]) -> None:
    code = (
        "import ctypes; from voxloom.io import _hdf5, open_volume\n"
        "ctypes.pythonapi.Py_IncRef(ctypes.py_object(_hdf5._open))\n"  # as some extensions do
        f"print(open_volume({f'{server[0]}/t1.h5'!r}).read().sum(dtype=int))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert (ran.returncode, ran.stderr) == (0, "")  # HDF5 would call an interpreter that is gone
    assert int(ran.stdout) == VOXELS.sum(dtype=int)
