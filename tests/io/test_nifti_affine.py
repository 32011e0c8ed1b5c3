import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxloom._errors import VolumeReadError
from voxloom.io._nifti_header import read_nifti_header

Array = np.ndarray[Any, Any]
Save = Callable[..., str]

lengths = st.floats(0.125, 5, width=32) | st.floats(-5, -0.125, width=32) | st.just(0.0)
offsets = st.integers(-2000, 2000).map(lambda n: n / 8)
quaternions = st.lists(st.integers(-73, 73).map(lambda n: n / 128), min_size=3, max_size=3)


def poke(path: str, offset: int, kind: str, *values: float) -> None:
    content = bytearray(Path(path).read_bytes())
    struct.pack_into(kind, content, offset, *values)
    Path(path).write_bytes(content)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    spacing=st.lists(lengths, min_size=3, max_size=3),
    flip=st.sampled_from([1.0, -1.0, 0.0, 7.0]),
    code=st.sampled_from([0, 1, 4, 5, 9, -1]),
    quaternion=quaternions,
    offset=st.lists(offsets, min_size=3, max_size=3),
    axes=st.sampled_from([2, 3, 4]),
)
def test_without_sform_the_affine_is_nibabels(
    tmp_path: Path,
    spacing: list[float],
    flip: float,
    code: int,
    quaternion: list[float],
    offset: list[float],
    axes: int,
) -> None:
    path = str(tmp_path / "t1.nii")
    shape = (3, 4, 5, 2)[:axes]
    nibabel.Nifti1Image(np.zeros(shape, np.uint8), np.eye(4)).to_filename(path)
    poke(path, 76, "<4f", flip, *spacing)
    poke(path, 252, "<2h6f", code, 0, *quaternion, *offset)
    ours = read_nifti_header(path).affine
    np.testing.assert_allclose(ours, nibabel.load(path).affine, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("image_class", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("angle", [0, 0.5, np.pi / 2, np.pi])
def test_qform_alone_is_enough(save: Save, voxels: Array, image_class: Any, angle: float) -> None:
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    path = save(
        voxels,
        image_class=image_class,
        affine=affine @ np.diag([2, 3, -4, 1]),
        change=lambda header: header.set_sform(None, 0),
    )
    ours = read_nifti_header(path).affine
    np.testing.assert_allclose(ours, nibabel.load(path).affine, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(ours, affine @ np.diag([2, 3, -4, 1]), rtol=1e-6, atol=1e-6)


def test_sform_wins_over_qform(save: Save, voxels: Array, oblique: Array) -> None:
    path = save(voxels, change=lambda header: header.set_qform(np.eye(4), 1))
    np.testing.assert_allclose(read_nifti_header(path).affine, oblique, rtol=1e-6)


@pytest.mark.parametrize(
    ("unit", "factor"), [("unknown", 1), ("meter", 1000), ("mm", 1), ("micron", 0.001)]
)
def test_lengths_are_converted_to_mm(
    save: Save, voxels: Array, oblique: Array, unit: str, factor: float
) -> None:
    path = save(voxels, change=lambda header: header.set_xyzt_units(unit, "sec"))
    expected = oblique * [[factor], [factor], [factor], [1]]
    np.testing.assert_allclose(read_nifti_header(path).affine, expected, rtol=1e-6)


def test_quaternion_longer_than_one_is_refused(save: Save, voxels: Array) -> None:
    path = save(voxels, change=lambda header: header.set_sform(None, 0))
    poke(path, 252, "<2h3f", 1, 0, 0.9, 0.9, 0.9)
    with pytest.raises(VolumeReadError, match=r"its quaternion .* is not one of a rotation"):
        read_nifti_header(path)
