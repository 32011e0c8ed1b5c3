import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from voxloom._errors import VolumeReadError
from voxloom.io import open_volume
from voxloom.io._inflate import inflate
from voxloom.io._raw_layout import StoredVoxels

VOXELS = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)


def write(path: Path, packed: bytes) -> StoredVoxels:
    path.write_bytes(b"head" + packed)
    return StoredVoxels(str(path), 4, "deflate", big_endian=False, components_first=True)


def test_the_stream_behind_the_header_is_unpacked(tmp_path: Path) -> None:
    stored = write(tmp_path / "a.mha", zlib.compress(b"voxels"))
    assert inflate(stored, 6).tobytes() == b"voxels"


@pytest.mark.parametrize(("expected", "got"), [(5, "more"), (7, "6")])
def test_another_length_than_declared_is_refused(tmp_path: Path, expected: int, got: str) -> None:
    stored = write(tmp_path / "a.mha", zlib.compress(b"voxels"))
    message = rf"a\.mha: expected {expected} bytes once unpacked, got {got}"
    with pytest.raises(VolumeReadError, match=message):
        inflate(stored, expected)


def test_a_damaged_stream_is_refused(tmp_path: Path) -> None:
    packed = bytearray(zlib.compress(VOXELS.tobytes()))
    packed[-1] ^= 1
    with pytest.raises(VolumeReadError, match=r"a\.mha"):
        inflate(write(tmp_path / "a.mha", bytes(packed)), VOXELS.nbytes)


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_packed_voxels_are_those_that_itk_reads(tmp_path: Path, name: str, components: int) -> None:
    several: Any = np.stack([VOXELS.T + n for n in range(components)], axis=-1)
    image = SimpleITK.GetImageFromArray(several.squeeze(), isVector=components > 1)
    SimpleITK.WriteImage(image, str(tmp_path / name), True)
    expected = np.stack([VOXELS + n for n in range(components)])
    np.testing.assert_array_equal(open_volume(tmp_path / name).read(), expected)
