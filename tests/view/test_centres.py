import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import SubjectError
from voxloom.view import plot_centres


def dots(axes: object) -> set[tuple[float, float]]:
    places = np.concatenate([part.get_offsets() for part in axes.collections])  # type: ignore[attr-defined]
    return {(float(x), float(y)) for x, y in places}


def test_dots_lie_on_the_centres_in_mm_in_all_planes(subject: tio.Subject) -> None:
    figure = plot_centres(subject, [[0, 1, 2, 4, 5, 6]])  # its centre is voxel (2, 3, 4)
    sagittal, coronal, axial = figure.axes
    right, front, head = 2.0 * (9 - 2), 3.0, 3.0 * 4  # the first axis runs to the left
    assert dots(sagittal) == {(front, head)}
    assert dots(coronal) == {(right, head)}
    assert dots(axial) == {(right, front)}


def test_the_frame_holds_all_that_samplers_draw(subject: tio.Subject) -> None:
    sampler = tio.UniformSampler((4, 5, 3))
    locations = [patch["location"].tolist() for patch in sampler(subject, 2000, rng=0)]
    for axes in plot_centres(subject, locations).axes:
        corners = np.asarray(axes.lines[0].get_xydata())
        seen = np.array(sorted(dots(axes)))
        np.testing.assert_allclose(seen.min(axis=0), corners.min(axis=0))
        np.testing.assert_allclose(seen.max(axis=0), corners.max(axis=0))


def test_centres_are_coloured_by_the_label_they_fell_on(subject: tio.Subject) -> None:
    sampler = tio.LabelSampler(2, "seg", {1: 1, 2: 1})
    locations = [patch["location"].tolist() for patch in sampler(subject, 20, rng=0)]
    figure = plot_centres(subject, locations)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["label 1", "label 2"]


def test_only_centres_near_the_plane_are_full(subject: tio.Subject) -> None:
    near, far = [0, 0, 3, 2, 2, 5], [4, 4, 5, 6, 6, 7]
    axial = plot_centres(subject, [near, far], labels="", at=(0, 0, 4), slab_mm=3).axes[2]
    full = [part for part in axial.collections if part.get_alpha() == 1]
    assert np.concatenate([part.get_offsets() for part in full]).tolist() == [[16.0, 1.0]]


@pytest.mark.parametrize("locations", [[], [[1, 2, 3]], [1, 2, 3, 4, 5, 6]])
def test_locations_have_six_columns(subject: tio.Subject, locations: list[object]) -> None:
    with pytest.raises(SubjectError, match=r"locations are \(N, 6\), as batch\['location'\]"):
        plot_centres(subject, locations)


def test_patches_have_one_size(subject: tio.Subject) -> None:
    with pytest.raises(SubjectError, match=r"one size, got \[\[2, 2, 2\], \[3, 3, 3\]\]"):
        plot_centres(subject, [[0, 0, 0, 2, 2, 2], [0, 0, 0, 3, 3, 3]])
