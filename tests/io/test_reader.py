import pickle
import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ReaderSource

VOXELS = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
AFFINE = np.diag([2.0, 3.0, 4.0, 1.0])
BOX = Box((1, 2, 3), (4, 4, 6))


def read_array(path: str) -> tuple[Any, Any]:
    return VOXELS, AFFINE


def read_tensor(path: str) -> tuple[Any, Any]:
    return torch.tensor(VOXELS, requires_grad=True), torch.tensor(AFFINE)


@pytest.mark.parametrize("reader", [read_array, read_tensor])
def test_arrays_and_tensors_are_volumes(reader: Any) -> None:
    source = ReaderSource("t1.xyz", reader)
    assert source.shape == (1, 5, 6, 7)
    assert source.path == "t1.xyz"
    np.testing.assert_array_equal(source.affine, AFFINE)
    np.testing.assert_array_equal(source.read(BOX)[0], VOXELS[BOX.slices], strict=True)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((5, 6), (1, 5, 6, 1)),
        ((2, 5, 6, 7), (2, 5, 6, 7)),
        ((1, 3, 5, 6), (1, 3, 5, 6)),
        ((1, 5, 6, 3), (1, 5, 6, 3)),
    ],
)
def test_other_axes(given: tuple[int, ...], shape: tuple[int, ...]) -> None:
    assert ReaderSource("t1", lambda _: (np.zeros(given), None)).read().shape == shape


def test_colours_of_a_slice_are_its_channels() -> None:
    voxels = np.arange(5 * 6 * 3).reshape(5, 6, 3)
    for given in (voxels, np.moveaxis(voxels, -1, 0)):
        with pytest.warns(UserWarning, match=r"photo: .* slice in three colours; return \(C, W"):
            source = ReaderSource("photo", lambda _, given=given: (given, None))
        assert source.shape == (3, 5, 6, 1)
        with warnings.catch_warnings(action="ignore"):
            read = source.read()
        assert read[:, 2, 4, 0].tolist() == voxels[2, 4].tolist()


def test_voxels_come_in_native_byte_order() -> None:
    source = ReaderSource("t1", lambda _: (VOXELS.astype(">f4"), None))
    assert source.dtype.isnative
    np.testing.assert_array_equal(source.read()[0], VOXELS, strict=True)


def test_reader_is_called_with_the_path_once_to_open_and_once_a_read() -> None:
    calls = []

    def read(path: str) -> tuple[Any, Any]:
        calls.append(path)
        return VOXELS, None

    source = ReaderSource("t1.xyz", read)
    assert calls == ["t1.xyz"]
    source.read()
    pickle.loads(pickle.dumps(ReaderSource("other", read_array)))
    assert calls == ["t1.xyz"] * 2


def read_other_file(path: str) -> tuple[Any, Any]:
    raise FileNotFoundError(2, "No such file", path)


def read_and_fail(path: str) -> tuple[Any, Any]:
    raise KeyError("voxels")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (VOXELS, "must return (voxels, affine), it returned ndarray"),
        ((VOXELS,), "must return (voxels, affine), it returned tuple"),
        (None, "must return (voxels, affine), it returned NoneType"),
        ((np.zeros(5), None), "expected an array (W, H), (W, H, D) or (C, W, H, D)"),
        ((VOXELS, np.eye(3)), "gave an affine that is none, an affine is a 4x4 matrix"),
        ((VOXELS, np.zeros((4, 4))), "gave an affine that is none, the last row"),
        ((torch.zeros(4, 5, dtype=torch.bfloat16), None), "returned Tensor, expected an array"),
        (([[1, 2], [3]], None), "returned list, expected an array or a tensor"),
    ],
)
def test_results_that_are_no_volumes_are_refused(result: Any, message: str) -> None:
    with pytest.raises(VolumeReadError, match=r"^t1\.xyz: the reader .*" + re.escape(message)):
        ReaderSource("t1.xyz", lambda _: result)


def test_text_is_no_volume() -> None:
    with pytest.raises(UnknownFormatError, match=r"^t1\.xyz: the reader .*booleans, integers"):
        ReaderSource("t1.xyz", lambda _: (np.full((4, 5), "a"), None))


def test_failure_of_the_reader_names_the_file_and_the_reader() -> None:
    with pytest.raises(VolumeReadError, match=r"t1: the reader read_and_fail failed, KeyError"):
        ReaderSource("t1", read_and_fail)
    with pytest.raises(VolumeNotFoundError, match="t1: the reader read_other_file found no such"):
        ReaderSource("t1", read_other_file)


def test_reader_that_gives_something_else_later_is_refused() -> None:
    results = iter([VOXELS, VOXELS[1:]])
    source = ReaderSource("t1", lambda _: (next(results), None))
    message = r"t1: the reader gave shape \(1, 5, 6, 7\) .* and \(1, 4, 6, 7\) and float32 now"
    with pytest.raises(VolumeReadError, match=message):
        source.read()
