import numpy as np

from voxloom.view._figure import COLOURS
from voxloom.view._panel import as_labels, labels_in, paint, window_of


def test_outliers_do_not_darken_the_picture() -> None:
    voxels = np.linspace(0, 100, 10_000)
    voxels[-5:] = 1e6
    low, high = window_of(voxels)
    assert 0 <= low < 1
    assert 99 < high < 101


def test_the_window_of_a_constant_volume_has_a_width() -> None:
    assert window_of(np.full(10, 5.0)) == (5.0, 6.0)


def test_not_a_number_is_left_out_of_the_window() -> None:
    assert window_of(np.array([np.nan, 1.0, np.inf, 1.0])) == (1.0, 2.0)


def test_labels_keep_their_colour_whichever_others_there_are() -> None:
    both, alone = paint(np.array([1, 2]), 1.0), paint(np.array([2]), 1.0)
    assert (both[1] == alone[0]).all()
    assert not (both[0] == both[1]).all()


def test_negative_labels_are_not_shown() -> None:
    assert labels_in(np.array([-1, 0, 4])) == [4]
    assert paint(np.array([-1]), 1.0).tolist() == [[0, 0, 0, 0]]


def test_where_channels_overlap_the_last_is_shown() -> None:
    channels = np.array([[1, 1], [0, 1]]).reshape(2, 2, 1, 1)
    assert as_labels(channels).ravel().tolist() == [1, 2]


def test_no_two_colours_are_the_same() -> None:
    assert len(set(COLOURS)) == len(COLOURS)
