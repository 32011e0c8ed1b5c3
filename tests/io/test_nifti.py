import gzip
import pickle
import re
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voxloom._errors import GeometryError, VolumeReadError, VoxloomError
from voxloom.geometry import Box
from voxloom.io import NiftiSource, _nifti, open_volume, write_nifti

Array = np.ndarray[Any, Any]
Save = Callable[..., str]

BOX = Box((1, 2, 3), (4, 4, 6))
DTYPES = ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8")

thrice = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a real, small .nii.gz file."""
    voxels = np.random.default_rng(0).integers(0, 9, (7, 8, 9)).astype(np.int16)
    path = tmp_path_factory.mktemp("packed") / "t1.nii.gz"
    return Path(write_nifti(path, voxels, np.diag([2, 2, 3, 1]))).read_bytes()


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_voxels_keep_their_type(save: Save, dtype: str, name: str, endianness: str) -> None:
    voxels = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(dtype)
    source = NiftiSource(save(voxels, name, endianness=endianness))
    assert source.dtype == np.dtype(dtype)
    assert source.dtype.isnative
    np.testing.assert_array_equal(source.read()[0], voxels, strict=True)
    np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices], strict=True)


@pytest.mark.parametrize("image_class", [nibabel.Nifti1Pair, nibabel.Nifti2Pair])
@pytest.mark.parametrize("name", ["t1.img", "t1.img.gz"])
def test_pairs_read_like_single_files(
    save: Save, voxels: Array, name: str, image_class: Any
) -> None:
    source = NiftiSource(save(voxels, name, image_class))
    np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices], strict=True)


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
@pytest.mark.parametrize("shape", [(5, 6, 7, 3), (5, 6, 7, 1, 3), (5, 6, 7, 2, 3)])
def test_channels_come_first(save: Save, shape: tuple[int, ...], name: str) -> None:
    voxels = np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    expected = np.moveaxis(voxels.reshape((5, 6, 7, -1), order="F"), -1, 0)
    source = NiftiSource(save(voxels, name))
    np.testing.assert_array_equal(source.read(), expected, strict=True)
    np.testing.assert_array_equal(
        source.read(BOX), expected[(slice(None), *BOX.slices)], strict=True
    )


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
@pytest.mark.parametrize(
    ("disk", "given"), [("u1", "f4"), ("i2", "f4"), ("i4", "f8"), ("f4", "f4"), ("f8", "f8")]
)
def test_scaled_voxels_agree_with_nibabel(save: Save, name: str, disk: str, given: str) -> None:
    path = save(np.arange(5 * 6 * 7, dtype=disk).reshape(5, 6, 7), "plain.nii")
    content = bytearray(Path(path).read_bytes())
    struct.pack_into("<2f", content, 112, 0.5, -3)
    path = str(Path(path).with_name(name))
    Path(path).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    source = NiftiSource(path)
    assert source.dtype == np.dtype(given)
    expected = nibabel.load(path).get_fdata(caching="unchanged")
    np.testing.assert_allclose(source.read()[0], expected, rtol=1e-6)
    assert source.read(BOX).dtype == source.dtype
    np.testing.assert_allclose(source.read(BOX)[0], expected[BOX.slices], rtol=1e-6)


def test_plain_files_are_read_without_a_copy(save: Save, voxels: Array) -> None:
    read = NiftiSource(save(voxels)).read(BOX)
    assert not read.flags.owndata
    assert not read.flags.writeable
    assert read.strides[1] == 2


def test_first_axis_is_fastest_in_what_is_decoded(save: Save, voxels: Array) -> None:
    for change in (None, lambda header: header.set_slope_inter(2, 1)):
        read = NiftiSource(save(voxels, "t1.nii.gz", change=change)).read()
        assert read[0].flags.f_contiguous


def test_voxels_at_odd_bytes_are_aligned(save: Save, voxels: Array) -> None:
    path = Path(save(voxels))
    content = bytearray(path.read_bytes())
    struct.pack_into("<f", content, 108, 353)
    path.write_bytes(bytes(content[:352]) + b"\0" + content[352:])
    read = NiftiSource(path).read(BOX)
    assert read.flags.aligned
    np.testing.assert_array_equal(read[0], voxels[BOX.slices], strict=True)


def test_what_a_file_holds_counts_and_not_its_name(save: Save, voxels: Array) -> None:
    plain, squeezed = Path(save(voxels, "t1.nii")), Path(save(voxels, "t2.nii.gz"))
    plain = plain.rename(plain.with_name("plain.nii.gz"))
    squeezed = squeezed.rename(squeezed.with_name("squeezed.nii"))
    for path, regions in ((plain, True), (squeezed, False)):
        assert NiftiSource(path).reads_regions == regions
        np.testing.assert_array_equal(NiftiSource(path).read()[0], voxels)


def test_pickle_carries_no_voxels(tmp_path: Path) -> None:
    for name in ("t1.nii", "t1.nii.gz"):
        source = NiftiSource(write_nifti(tmp_path / name, np.zeros((64, 64, 64))))
        source.read()
        assert len(pickle.dumps(source)) < 2000


def test_box_that_overhangs_is_refused(save: Save, voxels: Array) -> None:
    path = save(voxels)
    message = re.escape(f"{path} has spatial shape (5, 6, 7), the box from (0, 0, 0) to (9, 9, 9)")
    with pytest.raises(GeometryError, match=message):
        NiftiSource(path).read(Box((0, 0, 0), (9, 9, 9)))


def test_decoding_stops_behind_the_box(tmp_path: Path) -> None:
    path = Path(write_nifti(tmp_path / "t1.nii.gz", np.random.default_rng(0).random((32, 32, 99))))
    content = bytearray(path.read_bytes())
    content[-20_000:] = bytes(20_000)
    path.write_bytes(content)
    source = NiftiSource(path)
    assert source.read(Box((0, 0, 0), (32, 32, 50))).shape == (1, 32, 32, 50)
    with pytest.raises(VolumeReadError, match=re.escape(str(path))):
        source.read()


def test_decoding_takes_the_memory_of_one_volume(tmp_path: Path) -> None:
    source = NiftiSource(write_nifti(tmp_path / "t1.nii.gz", np.zeros((128, 128, 128))))
    tracemalloc.start()
    read = source.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < read.nbytes * 1.1


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
def test_file_that_changed_since_it_was_opened(save: Save, voxels: Array, name: str) -> None:
    path = Path(save(voxels, name))
    source = NiftiSource(path)
    source.read()
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(VolumeReadError, match=re.escape(str(path))):
        source.read()


def test_file_that_was_written_again_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "t1.nii"
    source = NiftiSource(write_nifti(path, np.zeros((4, 5, 6))))
    assert source.read().max() == 0
    write_nifti(path, np.ones((4, 5, 6)))
    assert source.read().min() == 1


@thrice
@given(kept=st.floats(0, 1, exclude_max=True))
def test_truncated_gzip_names_the_file(tmp_path: Path, packed: bytes, kept: float) -> None:
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(packed[: int(kept * len(packed))])
    with pytest.raises(VolumeReadError, match=re.escape(str(path))):
        NiftiSource(path).read()


@pytest.mark.parametrize("cut", [0, 100])
def test_a_compressed_header_that_lies_is_refused_before_its_volume_is_allocated(
    tmp_path: Path, cut: int
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 64), np.uint8)
    plain = bytearray(Path(write_nifti(tmp_path / "t1.nii", noise)).read_bytes())
    struct.pack_into("<3h", plain, 42, 640, 640, 600)  # deflate could hold it
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(gzip.compress(plain)[: -cut or None])
    source = NiftiSource(path)
    what = "ended before the end" if cut else "expected 245760352 bytes once decompressed, got 2"
    for read in (
        source.read,
        lambda: source.read(Box((0, 0, 0), (9, 9, 9))),
        lambda: source.decode_into(lambda count: np.empty(count, np.uint8)),
    ):
        tracemalloc.start()
        with pytest.raises(VolumeReadError, match=f"{re.escape(str(path))}: .*{what}"):
            read()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 16 << 20


@thrice
@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@example(place=0.0, flip=255)
def test_flipped_byte_of_gzip_is_seen_or_harmless(
    tmp_path: Path, packed: bytes, place: float, flip: int
) -> None:
    path = tmp_path / "t1.nii.gz"
    path.write_bytes(packed)
    expected = NiftiSource(path).read()
    content = bytearray(packed)
    content[int(place * len(content))] ^= flip
    path.write_bytes(content)
    message = str(path)
    tracemalloc.start()
    try:
        source = NiftiSource(path)
        np.testing.assert_array_equal(source.read(), expected, strict=True)
        assert source.affine[2, 2] == 3
    except VoxloomError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert str(path) in message
    assert peak < 4 << 20


@thrice
@given(place=st.integers(0, 351), values=st.binary(min_size=1, max_size=4))
def test_noise_in_a_plain_header_is_refused_or_keeps_the_size(
    tmp_path: Path, packed: bytes, place: int, values: bytes
) -> None:
    path = tmp_path / "t1.nii"
    content = bytearray(gzip.decompress(packed))
    size = len(content)
    content[place : place + len(values)] = values
    path.write_bytes(content[:size])
    message = str(path)
    try:
        source = NiftiSource(path)
        assert source.read().shape == source.shape
        assert source.header.offset + source.header.voxel_bytes == size
    except VoxloomError as error:
        message = str(error)
    assert str(path) in message


def test_each_of_two_files_that_differ_by_gz_is_itself(save: Save, voxels: Array) -> None:
    plain, packed = save(voxels, "t1.nii"), save(voxels + 1, "t1.nii.gz")
    np.testing.assert_array_equal(open_volume(plain).read()[0], voxels)
    np.testing.assert_array_equal(open_volume(packed).read()[0], voxels + 1)


@pytest.mark.parametrize("endianness", ["<", ">"])
def test_a_box_on_a_network_filesystem_is_read_without_a_map(
    save: Save, endianness: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = np.arange(2 * 5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7, 2)
    source = NiftiSource(save(several, "t1.nii", endianness=endianness))
    monkeypatch.setattr(_nifti, "is_on_network", lambda path: True)
    monkeypatch.delattr(_nifti, "map_voxels")
    box = Box((1, 2, 3), (4, 6, 5))
    patch = source.read(box)
    np.testing.assert_array_equal(patch, np.moveaxis(several, -1, 0)[(slice(None), *box.slices)])
    assert patch.dtype == np.int16


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads Linux's list of maps")
def test_release_leaves_no_page_of_a_map_in_memory_and_the_voxels_readable(tmp_path: Path) -> None:
    voxels = np.arange(64 * 64 * 64, dtype=np.int16).reshape(64, 64, 64)
    path = write_nifti(tmp_path / "volume.nii", voxels[None])
    source = NiftiSource(path)
    before = source.read().copy()
    assert _resident_kib(path) >= voxels.nbytes // 1024
    source.release()
    assert _resident_kib(path) == 0
    np.testing.assert_array_equal(source.read(), before)


def test_release_of_what_is_not_mapped_does_nothing(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "volume.nii.gz", np.ones((1, 4, 4, 4), dtype=np.int16))
    source = NiftiSource(path)
    source.release()
    assert source.read().sum() == 64


def _resident_kib(path: str) -> int:
    lines = Path("/proc/self/smaps").read_text("utf-8").splitlines()
    found = [n for n, line in enumerate(lines) if line.endswith(path)]
    rss = [next(line for line in lines[n:] if line.startswith("Rss:")).split()[1] for n in found]
    return sum(map(int, rss))
