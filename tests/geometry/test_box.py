"""Boxes: half-open, never empty."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxloom.geometry import Box

INDEX = st.tuples(*[st.integers(-50, 50)] * 3)
SIZE = st.tuples(*[st.integers(1, 60)] * 3)


@given(INDEX, SIZE)
def test_a_box_has_the_size_it_was_made_with(
    ini: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    box = Box.at(ini, size)
    assert (box.index_ini, box.size) == (ini, size)
    assert all(fin - start == n for start, fin, n in zip(ini, box.index_fin, size, strict=True))


@given(INDEX, SIZE, SIZE)
def test_a_box_fits_exactly_where_its_slices_give_its_size(
    ini: tuple[int, int, int], size: tuple[int, int, int], shape: tuple[int, int, int]
) -> None:
    box = Box.at(ini, size)
    sliced = np.broadcast_to(np.zeros(()), shape)[box.slices].shape
    assert box.fits(shape) == (sliced == size and min(ini) >= 0)


@pytest.mark.parametrize("fin", [(4, 4, 0), (4, 2, 4), (-1, 4, 4)])
def test_an_empty_box_is_refused(fin: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"index_ini < index_fin on every axis.*\(0, 2, 0\)"):
        Box((0, 2, 0), fin)


def test_boxes_are_frozen_values() -> None:
    box = Box((0, 0, 0), (1, 2, 3))
    assert {box, Box.at((0, 0, 0), (1, 2, 3))} == {box}
    with pytest.raises(AttributeError, match="index_ini"):
        box.index_ini = (1, 1, 1)  # type: ignore[misc]
