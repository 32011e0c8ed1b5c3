"""Names in BIDS."""

from typing import Any

import pytest

from voxloom._errors import LayoutError
from voxloom.subjects._bids_names import BidsName, BidsQuery


@pytest.mark.parametrize("name", ["sub-1_.nii", "sub-1", "sub-01_T1w-old.nii", "sub-01_x_T1w.nii"])
def test_names_that_bids_does_not_give_are_left_out(name: str) -> None:
    assert BidsName.parse(name) is None


@pytest.mark.parametrize(
    ("query", "accepted"),
    [
        ("T1w", True),
        ({"suffix": "T1w", "run": 1}, True),
        ({"suffix": "T1w", "run": "1"}, False),
        ({"run": "01"}, True),
        ({"suffix": "T1w", "run": 2}, False),
        ({"suffix": ["T2w", "T1w"]}, True),
        ({"suffix": "T1w", "acquisition": None}, True),
        ({"suffix": "T1w", "ses": None}, False),
        ({"suffix": "T1w", "session": "pre"}, True),
        ({"suffix": "T1w", "datatype": "func"}, False),
        ({"suffix": "T1w", "extension": ".nii"}, False),
    ],
)
def test_a_query_accepts_what_it_describes(query: Any, accepted: bool) -> None:
    name = BidsName.parse("sub-01_ses-pre_run-01_T1w.NII.gz")
    assert name is not None
    assert BidsQuery.of(query, "t1").accepts(name, "anat") is accepted


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"colour": "red"}, r"BIDS has no entity \['colour'\]; it has sub, ses"),
        ({}, r"say which file is 't1' by its suffix"),
        (3, r"got 3"),
    ],
)
def test_a_query_that_says_nothing_is_refused(query: Any, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        BidsQuery.of(query, "t1")
