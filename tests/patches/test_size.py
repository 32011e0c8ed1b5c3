import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from voxloom._errors import PatchSizeError, PatchTooLargeError
from voxloom.patches._size import check_patch_fits, parse_patch_size


@given(size=st.integers(1, 10**9))
def test_one_number_stands_for_all_axes(size: int) -> None:
    assert parse_patch_size(size) == (size, size, size)


@given(size=st.tuples(*[st.integers(1, 10**9)] * 3))
def test_three_numbers_are_kept(size: tuple[int, int, int]) -> None:
    assert parse_patch_size(size) == size


def test_a_size_of_70000_stays_70000() -> None:
    assert parse_patch_size(70000) == (70000, 70000, 70000)


@pytest.mark.parametrize(
    "size",
    [np.int16(4), np.array(4), torch.tensor(4), [4, 4, 4], torch.Size([4, 4, 4]),
     np.array([4, 4, 4], dtype=np.uint16), torch.tensor([4, 4, 4]), [torch.tensor(4), 4, 4]],
)  # fmt: skip
def test_integers_of_numpy_and_torch_will_do_and_become_plain(size: object) -> None:
    parsed = parse_patch_size(size)
    assert parsed == (4, 4, 4)
    assert all(type(n) is int for n in parsed)


@pytest.mark.parametrize(
    "size",
    [0, -1, 4.0, True, np.float32(4), "4", None, (4,), (4, 4), (4, 4, 4, 4), (4, 4, 0), (4, 4, 4.0),
     (True, 4, 4), np.array([4]), {4: 4}, [[4, 4, 4]], torch.tensor(4.0), torch.tensor(True),
     torch.tensor([4, 4]), np.array([4.0, 4, 4]), np.full((1, 3), 4), np.array("4")],
)  # fmt: skip
def test_anything_else_is_refused_and_shown(size: object) -> None:
    message = "patch_size is a positive integer or three of them (w, h, d), in voxels; got "
    with pytest.raises(PatchSizeError, match=re.escape(message + repr(size))):
        parse_patch_size(size)


def test_an_error_of_size_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="got 0"):
        parse_patch_size(0)


@pytest.mark.parametrize("error", [PatchTooLargeError, RuntimeError, ValueError])
def test_a_patch_too_large_says_both_sizes_and_both_remedies(error: type[Exception]) -> None:
    message = (
        "a patch of size (4, 9, 4) does not fit in subject 's1', whose spatial shape is "
        "(8, 8, 8); choose a smaller patch_size, or pad what overhangs with "
        "padding_mode='constant'"
    )
    with pytest.raises(error, match=re.escape(message)):
        check_patch_fits((4, 9, 4), (8, 8, 8), "subject 's1'")
