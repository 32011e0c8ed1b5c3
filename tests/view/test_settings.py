"""Settings are those that the page offers."""

import pytest

from voxloom._errors import QueueError
from voxloom.view._settings import Settings


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("subjects", 0, "subjects is a whole number from 1 to 32, got 0"),
        ("subjects", 2.5, "subjects is a whole number from 1 to 32, got 2.5"),
        ("subjects", True, "subjects is a whole number from 1 to 32, got True"),
        ("load_s", float("nan"), "load_s is a number from 0.0 to 60.0, got nan"),
        ("schedule", "random", "the schedule is 'spread' or 'fill', got 'random'"),
        ("shuffle_patches", 1, "shuffle_patches is true or false, got 1"),
    ],
)
def test_settings_outside_the_page_s_ranges_are_refused(
    name: str, value: object, message: str
) -> None:
    with pytest.raises(QueueError, match=message):
        Settings(**{name: value})  # type: ignore[arg-type]
