import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.io._shapes import check_numbers, four_axes


def test_four_axes_stay() -> None:
    assert four_axes("t1", (3, 4, 5, 6)) == (3, 4, 5, 6)


@pytest.mark.parametrize("shape", [(), (4,), (1, 1, 4, 5, 6), (0, 4, 5), (-4, -5)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(VolumeReadError, match=r"^t1: expected an array .*, got shape "):
        four_axes("t1", shape)


@pytest.mark.parametrize("dtype", ["?", "i1", "u8", "f2", "f8"])
def test_plain_numbers_pass(dtype: str) -> None:
    check_numbers("t1", np.dtype(dtype))


@pytest.mark.parametrize("dtype", ["g", "c16", "O", "U4"])
def test_other_types_are_refused(dtype: str) -> None:
    with pytest.raises(UnknownFormatError, match=r"^t1: expected booleans, integers or floats"):
        check_numbers("t1", np.dtype(dtype))
