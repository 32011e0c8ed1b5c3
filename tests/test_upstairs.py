import pytest

from voxloom._upstairs import call_by_name


def test_a_function_is_found_by_its_name_and_given_all_arguments() -> None:
    assert call_by_name("builtins", "int", "ff", base=16) == 255


def test_a_name_that_is_not_there_is_said() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        call_by_name("math", "nothing")
