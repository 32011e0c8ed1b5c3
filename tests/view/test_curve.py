import pytest

from voxloom._errors import VoxloomError
from voxloom.view import plot_curve


def test_each_value_is_a_dot_at_its_step() -> None:
    axes = plot_curve([3.0, 1.0, 2.0], "error").axes[0]
    assert axes.lines[0].get_xydata().tolist() == [[1, 3], [2, 1], [3, 2]]
    assert axes.get_ylabel() == "error"


def test_the_line_is_the_mean_of_the_last_values() -> None:
    axes = plot_curve([4.0, 2.0, 0.0], window=2).axes[0]
    assert axes.lines[1].get_ydata().tolist() == [4.0, 3.0, 1.0]


def test_negative_values_are_not_cut_off() -> None:
    assert plot_curve([1.0, -2.0]).axes[0].get_ylim()[0] <= -2


def test_a_curve_needs_a_value() -> None:
    with pytest.raises(VoxloomError, match="at least one value, got none"):
        plot_curve([])
