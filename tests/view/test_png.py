"""What is encoded, another decoder reads."""

import io

import numpy as np
import pytest

from voxloom.io import Array
from voxloom.view._png import encode_png


def decode(png: bytes) -> Array:
    images = pytest.importorskip("PIL.Image")
    with images.open(io.BytesIO(png)) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.float64, np.uint64])
def test_the_least_value_is_black_and_the_greatest_white(dtype: type) -> None:
    picture = np.arange(6, dtype=dtype).reshape(2, 3)
    assert decode(encode_png(picture)).tolist() == [[0, 51, 102], [153, 204, 255]]


def test_a_picture_of_one_value_is_black() -> None:
    assert decode(encode_png(np.full((3, 2), 7.5))).tolist() == [[0, 0]] * 3


def test_what_is_not_finite_is_black_and_does_not_spoil_the_rest() -> None:
    picture = np.array([[np.nan, 1.0], [np.inf, 3.0]])
    assert decode(encode_png(picture)).tolist() == [[0, 0], [0, 255]]
    assert decode(encode_png(np.full((1, 2), np.nan))).tolist() == [[0, 0]]


def test_a_large_picture_survives() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (70, 301)).astype(np.uint8)
    picture[0, :2] = 0, 255
    assert (decode(encode_png(picture)) == picture).all()


@pytest.mark.parametrize("shape", [(3,), (0, 4), (2, 2, 2)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rows and columns, got shape"):
        encode_png(np.zeros(shape))
