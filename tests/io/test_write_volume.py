"""Writing by suffix: what is written is what is read again, wherever it lies."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom import ScalarImage
from voxloom._errors import UnknownFormatError
from voxloom.io import open_volume, write_volume


@pytest.mark.parametrize(
    "suffix", [".nii", ".nii.gz", ".img", ".hdr", ".nrrd", ".nhdr", ".mha", ".mhd"]
)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_what_is_written_is_read_again(
    tmp_path: Path, oblique: Any, suffix: str, channels: int, dtype: Any
) -> None:
    voxels = np.random.default_rng(0).integers(0, 200, (channels, 5, 6, 7)).astype(dtype)
    image = ScalarImage(tensor=voxels, affine=oblique)
    image.save(tmp_path / f"t1{suffix}")
    source = open_volume(tmp_path / f"t1{suffix}")
    assert source.dtype == dtype
    np.testing.assert_array_equal(source.read(), voxels)
    np.testing.assert_allclose(source.affine, oblique, atol=1e-4)


def test_booleans_are_written_as_bytes(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "mask.nrrd", np.eye(4, dtype=bool)[None, ..., None])
    assert open_volume(path).dtype == np.uint8


def test_another_suffix_is_refused_with_those_that_are_known(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"t1\.jpg: a volume is written .*\.nrrd"):
        write_volume(tmp_path / "t1.jpg", np.zeros((2, 2, 2)))


@pytest.mark.parametrize("suffix", [".nrrd", ".img"])
def test_a_type_that_the_format_has_not_is_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(UnknownFormatError, match="cannot"):
        write_volume(tmp_path / f"t1{suffix}", np.zeros((2, 2, 2), dtype=np.float16))
