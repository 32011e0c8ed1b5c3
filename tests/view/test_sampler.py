import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import SamplerError
from voxloom.view._sampler import draw_locations, expected_map


class CornerSampler(tio.PatchSampler):
    """A sampler as a user writes one: it has no map."""

    def locate(self, subject, rng):
        return tuple(int(n) for n in rng.integers(0, 3, 3))


def test_the_places_are_those_that_the_sampler_gives(subject: tio.Subject) -> None:
    for sampler in (tio.UniformSampler(4), tio.LabelSampler(3, "seg"), CornerSampler(2)):
        cut = [patch["location"].tolist() for patch in sampler(subject, 20, rng=7)]
        assert draw_locations(sampler, subject, 20, seed=7).tolist() == cut


def test_what_is_expected_lies_where_a_centre_can_be_and_sums_to_one(subject: tio.Subject) -> None:
    chances = expected_map(tio.UniformSampler((4, 5, 3)), subject)
    assert chances is not None
    assert chances.sum() == pytest.approx(1)
    assert np.count_nonzero(chances) == (10 - 3) * (12 - 4) * (8 - 2)
    assert chances[1, 2, 1] == 0 < chances[2, 2, 1]
    by_label = expected_map(tio.LabelSampler(3, "seg", {1: 1, 2: 3}), subject)
    assert by_label is not None
    assert by_label[subject.seg.array[0] == 2].sum() == pytest.approx(0.75)


def test_the_map_stands_beside_what_was_drawn_and_the_legend_has_both_shares(
    subject: tio.Subject,
) -> None:
    figure = tio.LabelSampler(3, "seg", {1: 1, 2: 1}).plot(subject, 50, label_names={1: "core"})
    assert len(figure.axes) == 9
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    shares = [int(text.split(": ")[1].split("%")[0]) for text in texts]
    assert sum(shares) == pytest.approx(100, abs=1)
    assert [text.startswith(name) for text, name in zip(texts, ["core", "label 2"], strict=True)]
    assert all(text.endswith("% (expected 50%)") for text in texts)


def test_a_sampler_of_one_s_own_is_drawn_without_a_map(subject: tio.Subject) -> None:
    figure = CornerSampler(2).plot(subject, num_patches=30)
    assert len(figure.axes) == 6
    assert "30 patches of 2 x 2 x 2 voxels, by CornerSampler" in figure.get_suptitle()
    assert "expected" not in figure.legends[0].get_texts()[0].get_text()


def test_outlines_hold_their_patches_in_mm(subject: tio.Subject) -> None:
    class OnePlace(tio.PatchSampler):
        def locate(self, subject, rng):
            return 6, 3, 2

    figure = OnePlace((3, 4, 2)).plot(subject, num_patches=3, at=(7, 4, 2))
    axial = figure.axes[2]
    frames = [line for line in axial.lines if line.get_linestyle() == "-"]
    assert len(frames) == 3
    x, y = (np.asarray(values, dtype=float) for values in frames[0].get_data())
    # The first axis runs to the left, 2 mm a voxel: voxels 6 to 8 of 10 are turned 1 to 3.
    assert (x.min(), x.max()) == (2 * 0.5, 2 * 3.5)
    assert (y.min(), y.max()) == (2.5, 6.5)


def test_patches_that_the_plane_does_not_cut_have_no_outline(subject: tio.Subject) -> None:
    class OnePlace(tio.PatchSampler):
        def locate(self, subject, rng):
            return 0, 0, 0

    figure = OnePlace(2).plot(subject, num_patches=3, at=(7, 4, 2))
    assert [line.get_linestyle() for axes in figure.axes[:3] for line in axes.lines] == 3 * ["--"]


@pytest.mark.parametrize("count", [0, -1, True, 2.0])
def test_a_picture_needs_patches(subject: tio.Subject, count: object) -> None:
    with pytest.raises(SamplerError, match="num_patches of at least 1, got"):
        tio.UniformSampler(4).plot(subject, count)


def test_a_padding_sampler_can_be_drawn(subject: tio.Subject) -> None:
    figure = tio.UniformSampler((16, 16, 16), padding_mode="constant").plot(subject, 5)
    assert len(figure.axes) == 9
