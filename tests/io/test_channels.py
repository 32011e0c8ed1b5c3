import numpy as np
import pytest

from voxloom._errors import GeometryError, SpaceMismatchError
from voxloom.geometry import Box
from voxloom.io import ArraySource, ChannelSource

BOX = Box((1, 2, 3), (4, 4, 6))


def volume(value: int, shape: tuple[int, ...] = (1, 5, 6, 7), dtype: str = "i2") -> ArraySource:
    return ArraySource(np.full(shape, value, dtype), path=f"{value}.nii")


def test_channels_follow_each_other() -> None:
    source = ChannelSource([volume(1), volume(2, (2, 5, 6, 7)), volume(3)])
    assert source.shape == (4, 5, 6, 7)
    assert source.read()[:, 0, 0, 0].tolist() == [1, 2, 2, 3]
    assert source.read(BOX).shape == (4, *BOX.size)


def test_type_holds_all() -> None:
    source = ChannelSource([volume(1, dtype="u2"), volume(2, dtype="i2")])
    assert source.dtype == np.int32
    assert source.read(BOX).dtype == np.int32


def test_memory_order_of_the_volumes_stays() -> None:
    one = ArraySource(np.zeros((1, 7, 6, 5)).transpose(0, 3, 2, 1))
    read = ChannelSource([one, one]).read()
    assert read[0].flags.f_contiguous


def test_regions_are_read_if_all_volumes_can() -> None:
    whole = volume(2)
    whole.reads_regions = False  # type: ignore[misc]
    assert ChannelSource([volume(1), volume(1)]).reads_regions
    assert not ChannelSource([volume(1), whole]).reads_regions


def test_other_shape_names_both_files() -> None:
    message = r"^1\.nii and 2\.nii have spatial shapes \(5, 6, 7\) and \(5, 6, 8\); resample"
    with pytest.raises(SpaceMismatchError, match=message):
        ChannelSource([volume(1), volume(1), volume(2, (1, 5, 6, 8))])


def test_other_place_names_both_files_and_the_distance() -> None:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    one = ArraySource(np.zeros((1, 5, 6, 7)), affine, "1.nii")
    affine[0, 3] = 0.5
    two = ArraySource(np.zeros((1, 5, 6, 7)), affine)
    message = r"^1\.nii and volume 1 lie up to 0\.5 mm \(0\.25 voxels\) apart, more than 0\.05"
    with pytest.raises(SpaceMismatchError, match=message):
        ChannelSource([one, two])
    assert ChannelSource([one, two], space_tolerance=0.25).shape == (2, 5, 6, 7)


def test_no_volumes_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least one volume"):
        ChannelSource([])


def test_box_that_overhangs_is_refused() -> None:
    with pytest.raises(GeometryError, match=r"1\.nii has spatial shape \(5, 6, 7\)"):
        ChannelSource([volume(1)]).read(Box((0, 0, 0), (6, 6, 7)))
