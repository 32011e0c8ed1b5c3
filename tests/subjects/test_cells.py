"""Cells of a table."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom._errors import LayoutError
from voxloom.subjects._cells import format_cell, parse_cell

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)


@settings(deadline=None)
@given(value=VALUES)
def test_what_is_written_is_read_back(value: Any) -> None:
    read = parse_cell(format_cell(value))
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "value"),
    [("007", "007"), ("1e3", 1000.0), ("n/a", None), ("False", False), ("-", "-")],
)
def test_cells_of_other_programs_are_understood(text: str, value: Any) -> None:
    assert parse_cell(text) == value


def test_numbers_of_numpy_become_numbers() -> None:
    assert format_cell(np.float64(1.5)) == "1.5"
    assert math.isnan(parse_cell(format_cell(math.nan)))


def test_what_no_table_holds_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"a table cannot hold .* of type object"):
        format_cell(object())
