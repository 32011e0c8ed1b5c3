import struct
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dicom_files import dicom_bytes, element

from voxloom._errors import VolumeNotFoundError, VolumeReadError
from voxloom.io._dicom_elements import find_pixels

PIXELS = np.arange(30, dtype=np.int16).reshape(5, 6)


@pytest.mark.parametrize("syntax", ["implicit", "explicit", "big"])
def test_pixels_are_found_behind_nested_sequences(tmp_path: Path, syntax: str) -> None:
    path = tmp_path / "slice"
    path.write_bytes(content := dicom_bytes(PIXELS, syntax=syntax))
    found = find_pixels(str(path))
    assert found is not None
    assert found.file_bytes == len(content)
    stored = np.frombuffer(content, f"{found.byte_order}i2", 30, found.offset)
    np.testing.assert_array_equal(stored.reshape(5, 6), PIXELS)
    assert found.pixel_bytes == PIXELS.nbytes


def test_a_file_that_ends_before_its_pixels_is_named(tmp_path: Path) -> None:
    (tmp_path / "slice").write_bytes(dicom_bytes(PIXELS)[:-1])
    with pytest.raises(VolumeReadError, match="slice: its voxels end at byte"):
        find_pixels(str(tmp_path / "slice"))


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match="gone: there is no such file"):
        find_pixels(str(tmp_path / "gone"))


UNDEFINED = struct.pack("<I", 0xFFFFFFFF)
ODD = {
    "no mark": bytes(200),
    "nothing behind the mark": bytes(128) + b"DICM",
    "compressed": dicom_bytes(PIXELS).replace(b"10008.1.2.1\0", b"10008.1.2.5\0"),
    "encapsulated": dicom_bytes(PIXELS).replace(
        b"\xe0\x7f\x10\0OW\0\0" + struct.pack("<I", 60), b"\xe0\x7f\x10\0OW\0\0" + UNDEFINED
    ),
    "no pixels": dicom_bytes(PIXELS)[: -60 - 12],
    "tags that go back": dicom_bytes(PIXELS).replace(b"\x28\0\x11\0US", b"\x08\0\x11\0US"),
    "a type that is none": dicom_bytes(PIXELS).replace(b"\x28\0\x11\0US", b"\x28\0\x11\0us"),
    "a length behind the end": dicom_bytes(PIXELS).replace(
        b"\x28\0\x11\0US\x02\0", b"\x28\0\x11\0UT\x02\0"
    ),
    "elements without end": dicom_bytes(PIXELS)[:-72]
    + element(0x60000000, "SQ", b"")
    + element(0x00080100, "SH", b"") * 70_000,
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_followed_is_none_of_ours(tmp_path: Path, name: str) -> None:
    (tmp_path / "slice").write_bytes(ODD[name])
    assert find_pixels(str(tmp_path / "slice")) is None
