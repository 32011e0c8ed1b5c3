import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError, VoxloomError
from voxloom.geometry import Box
from voxloom.io import Array, NpySource

BOX = Box((1, 2, 0), (4, 4, 1))


def save(folder: Path, array: Array) -> str:
    path = folder / "t1.npy"
    np.save(path, array)
    return str(path)


@pytest.mark.parametrize(
    ("stored", "shape"),
    [((5, 6), (1, 5, 6, 1)), ((5, 6, 7), (1, 5, 6, 7)), ((2, 5, 6, 7), (2, 5, 6, 7))],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i2", "<u4", "f2", ">f8"])
def test_arrays_come_as_they_were_saved(
    tmp_path: Path, stored: tuple[int, ...], shape: tuple[int, ...], order: str, dtype: str
) -> None:
    array = np.asarray(np.arange(np.prod(stored)).reshape(stored).astype(dtype), order=order)
    source = NpySource(save(tmp_path, array))
    expected = array.reshape(shape).astype(array.dtype.newbyteorder("="))
    assert source.shape == shape
    assert source.dtype == expected.dtype
    np.testing.assert_array_equal(source.read(), expected, strict=True)
    np.testing.assert_array_equal(
        source.read(BOX), expected[(slice(None), *BOX.slices)], strict=True
    )


def test_space_is_the_identity(tmp_path: Path) -> None:
    np.testing.assert_array_equal(NpySource(save(tmp_path, np.zeros((4, 5)))).affine, np.eye(4))


def test_voxels_are_mapped_and_not_copied(tmp_path: Path) -> None:
    read = NpySource(save(tmp_path, np.zeros((4, 5, 6)))).read()
    assert not read.flags.owndata
    assert not read.flags.writeable


@pytest.mark.parametrize("shape", [(), (5,), (1, 2, 3, 4, 5), (4, 0, 6)])
def test_arrays_that_are_no_volumes_are_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = save(tmp_path, np.zeros(shape))
    with pytest.raises(VolumeReadError, match=re.escape(f"{path}: expected an array (W, H), ")):
        NpySource(path)


@pytest.mark.parametrize("dtype", ["c8", "S3", "M8[s]", [("a", "i2")]])
def test_elements_that_are_no_numbers_are_refused(tmp_path: Path, dtype: str) -> None:
    path = save(tmp_path, np.zeros((4, 5), dtype))
    with pytest.raises(UnknownFormatError, match=f"{re.escape(path)}: expected booleans, integers"):
        NpySource(path)


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    path = save(tmp_path, np.full((4, 5), None, dtype=object))
    with pytest.raises(UnknownFormatError, match=f"{re.escape(path)}: .*, got object"):
        NpySource(path)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"none\.npy: there is no such file"):
        NpySource(tmp_path / "none.npy")


@pytest.mark.parametrize("cut", [0, 3, 10, 60])
def test_damaged_header_is_refused(tmp_path: Path, cut: int) -> None:
    path = Path(save(tmp_path, np.zeros((4, 5))))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(VolumeReadError, match=r"t1\.npy: expected the header of an \.npy file"):
        NpySource(path)


def test_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = Path(save(tmp_path, np.zeros((4, 5))))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(VolumeReadError, match="needs 288 bytes, the file has 287"):
        NpySource(path)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 127), values=st.binary(min_size=1, max_size=4))
def test_noise_in_the_header_is_refused_or_keeps_the_size(
    tmp_path: Path, place: int, values: bytes
) -> None:
    path = Path(save(tmp_path, np.zeros((4, 5, 6), np.int16)))
    content = bytearray(path.read_bytes())
    content[place : min(place + len(values), 128)] = values[: 128 - place]
    path.write_bytes(content)
    message = str(path)
    try:
        source = NpySource(path)
        assert source.read().nbytes == 4 * 5 * 6 * 2
    except VoxloomError as error:
        message = str(error)
    assert str(path) in message
