import numpy as np
import pytest

import voxloom as tio
from voxloom._errors import ImageError, SubjectError


def test_three_planes_meet_in_the_named_voxel_turned_to_ras(subject: tio.Subject) -> None:
    figure = subject.t1.plot(at=(1, 2, 3))
    sagittal, coronal, axial = (np.asarray(a.images[0].get_array()) for a in figure.axes)
    voxels = subject.t1.array[0]
    assert (sagittal == voxels[1].T).all()
    assert (coronal == voxels[::-1, 2].T).all()
    assert (axial == voxels[::-1, :, 3].T).all()


def test_a_label_map_is_in_solid_colour_with_a_legend(subject: tio.Subject) -> None:
    figure = subject.seg.plot(at=(7, 4, 2), label_names={1: "core", 2: "rim"})
    opacity = np.asarray(figure.axes[2].images[1].get_array())[..., 3]
    assert sorted(np.unique(opacity).tolist()) == [0.0, 1.0]
    assert (opacity > 0).sum() == 3 * 4
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["core", "rim"]


def test_a_channel_can_be_chosen() -> None:
    voxels = np.zeros((2, 4, 4, 4), dtype=np.float32)
    voxels[1, 1, 2, 3] = 5
    image = tio.ScalarImage(tensor=voxels)
    shown = [np.asarray(image.plot(n, at=(1, 2, 3)).axes[0].images[0].get_array()) for n in (0, 1)]
    assert [int(one.max()) for one in shown] == [0, 5]
    assert not image.plot(at=(1, 2, 3)).axes[0].images[0].get_array().any()


@pytest.mark.parametrize("channel", [-1, 1])
def test_a_channel_that_is_not_there_is_an_error(subject: tio.Subject, channel: int) -> None:
    with pytest.raises(ImageError, match=f"channels 0 to 0, there is no channel {channel}"):
        subject.t1.plot(channel)


def test_a_place_outside_is_an_error(subject: tio.Subject) -> None:
    with pytest.raises(SubjectError, match=r"at=\(10, 0, 0\) is outside the volume"):
        subject.t1.plot(at=(10, 0, 0))


def test_an_image_in_a_file_is_not_kept_loaded(subject: tio.Subject, tmp_path) -> None:
    subject.t1.save(tmp_path / "t1.nii")
    image = tio.ScalarImage(tmp_path / "t1.nii")
    assert len(image.plot().axes) == 3
    assert not image.is_loaded
