import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import PaddingError
from voxloom.geometry import Box
from voxloom.patches._padding import (
    padded_indices,
    padding_value,
    parse_padding_mode,
    part_inside,
)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", None])
def test_modes_stand_for_themselves(mode: Any) -> None:
    assert parse_padding_mode(mode) == mode


@pytest.mark.parametrize("mode", [-1000, np.int16(-1000), np.float32(-1000)])
def test_a_number_becomes_a_float(mode: Any) -> None:
    parsed = parse_padding_mode(mode)
    assert parsed == -1000.0
    assert type(parsed) is float


@pytest.mark.parametrize("mode", ["wrap", "", True, (0, 0), "0"])
def test_any_other_mode_is_refused_with_those_that_exist(mode: Any) -> None:
    message = (
        "padding_mode is one of 'constant', 'edge', 'reflect', a number, or None for no "
        f"padding; got {mode!r}"
    )
    with pytest.raises(PaddingError, match=re.escape(message)):
        parse_padding_mode(mode)


@pytest.mark.parametrize("mode", ["edge", "reflect"])
@given(length=st.integers(1, 7), ini=st.integers(-30, 30), count=st.integers(1, 30))
def test_places_outside_show_what_numpy_pad_shows(
    mode: Any, length: int, ini: int, count: int
) -> None:
    padded = np.pad(np.arange(length), 60, mode=mode)
    shown = padded_indices(ini, ini + count, length, mode)
    assert shown.tolist() == padded[60 + ini : 60 + ini + count].tolist()


@pytest.mark.parametrize(
    ("mode", "dtype", "expected"),
    [("constant", "u1", 0), (-1000.0, "u1", 0), (300.0, "u1", 255), (-1000.0, "i2", -1000),
     (0.5, "f4", 0.5)],
)  # fmt: skip
def test_a_number_becomes_the_nearest_that_the_dtype_holds(
    mode: Any, dtype: str, expected: float
) -> None:
    assert padding_value(mode, np.dtype(dtype)) == expected


def test_nan_cannot_pad_integers() -> None:
    with pytest.raises(PaddingError, match="padding_mode=nan cannot be written into voxels of"):
        padding_value(float("nan"), np.dtype(np.int16))


def test_a_box_beside_the_volume_has_no_part_inside() -> None:
    assert part_inside(Box((-4, 0, 0), (0, 2, 2)), (9, 9, 9)) is None
