import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import PreparedError
from voxloom.prepared._metadata import from_json, to_json

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers() | st.just("voxloom tensor"), inner)
    ),
    max_leaves=10,
)


@given(PLAIN)
def test_what_json_cannot_say_comes_back_too(value: Any) -> None:
    assert from_json(json.loads(json.dumps(to_json("it", value)))) == value


def test_not_a_number_comes_back() -> None:
    assert math.isnan(from_json(to_json("it", math.nan)))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_arrays_and_tensors_come_back_in_their_type(dtype: str) -> None:
    array = np.array([[0, 1], [1, 0]], dtype=dtype)
    back = from_json(json.loads(json.dumps(to_json("it", array))))
    np.testing.assert_array_equal(back, array)
    assert back.dtype == array.dtype
    tensor = from_json(json.loads(json.dumps(to_json("it", torch.from_numpy(array)))))
    assert torch.equal(tensor, torch.from_numpy(array))


def test_other_things_are_refused_by_name() -> None:
    with pytest.raises(PreparedError, match="'doctor' is of type object"):
        to_json("doctor", object())
