from hypothesis import given
from hypothesis import strategies as st

from voxloom.geometry import Box
from voxloom.patches._valid import index_ini_of, valid_centres

shapes = st.tuples(*[st.integers(1, 12)] * 3)


@given(spatial_shape=shapes, patch_size=shapes)
def test_along_each_axis_every_place_that_fits_has_one_centre(
    spatial_shape: tuple[int, int, int], patch_size: tuple[int, int, int]
) -> None:
    centres = valid_centres(spatial_shape, patch_size)
    first = index_ini_of(centres.index_ini, patch_size)
    for axis, (length, size) in enumerate(zip(spatial_shape, patch_size, strict=True)):
        if size <= length:
            assert first[axis] == 0
            assert centres.size[axis] == length - size + 1
        else:
            before = -first[axis]
            assert centres.size[axis] == 1
            assert before - (size - length - before) in (0, 1)


@given(spatial_shape=shapes, patch_size=shapes)
def test_centres_lie_in_the_volume_even_where_the_patch_is_larger(
    spatial_shape: tuple[int, int, int], patch_size: tuple[int, int, int]
) -> None:
    assert valid_centres(spatial_shape, patch_size).fits(spatial_shape)


@given(spatial_shape=shapes, patch_size=shapes)
def test_the_border_that_cannot_be_a_centre_is_as_promised(
    spatial_shape: tuple[int, int, int], patch_size: tuple[int, int, int]
) -> None:
    size = tuple(min(p, n) for p, n in zip(patch_size, spatial_shape, strict=True))
    fitting = (size[0], size[1], size[2])
    before = tuple(p // 2 for p in fitting)
    after = tuple(n - (p - 1) // 2 for p, n in zip(fitting, spatial_shape, strict=True))
    expected = Box((before[0], before[1], before[2]), (after[0], after[1], after[2]))
    assert valid_centres(spatial_shape, fitting) == expected
