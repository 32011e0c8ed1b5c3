"""One file of many frames, read by rows, holds what ITK gives, and lies where ITK says."""

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from dicom_files import ENHANCED_MR, dicom_bytes, element, enhanced_bytes

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ItkSource, VolumeSource, open_volume
from voxloom.io._file_state import files_of
from voxloom.testing import check_reader

pytest.importorskip("SimpleITK")
RNG = np.random.default_rng(0)
BOX = Box((1, 2, 1), (5, 4, 3))
PAIR = ("2", "-3")


def noise(dtype: str) -> np.ndarray[Any, Any]:
    limits = np.iinfo(dtype)
    return RNG.integers(limits.min, limits.max, (4, 6, 5), dtype, endpoint=True)


def check_as_itk(path: Path, content: bytes) -> VolumeSource:
    path.write_bytes(content)
    itk, source = ItkSource(path), open_volume(path)
    voxels = itk.read()
    np.testing.assert_array_equal(source.read(), voxels, strict=True)
    np.testing.assert_array_equal(source.read(BOX), voxels[:, *BOX.slices], strict=True)
    np.testing.assert_array_equal(source.affine, itk.affine)
    assert files_of(source) == (str(path),)
    return source


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("i2", {}),
        ("u2", {"syntax": "implicit", "shared": PAIR}),
        ("i2", {"syntax": "big", "each": [PAIR] * 4}),
        ("u1", {"shared": ("0.1", "-7.25")}),
        ("i1", {"syntax": "implicit", "each": [("1", "-1024")] * 4}),
        ("u2", {"stored_bits": 12, "shared": ("1", "-1024")}),
        ("i2", {"stored_bits": 12, "sop_class": ENHANCED_MR, "shared": ("2.5", "1")}),
        ("i2", {"shared": ("3", "1"), "each": [PAIR] * 4}),
        ("i2", {"has_lengths": True, "each": [PAIR] * 4}),
        ("u2", {"has_lengths": True, "shared": PAIR, "syntax": "implicit"}),
        ("i2", {"step": -2.5, "shared": PAIR}),
        ("i2", {"cosines": (0.48, 0.64, 0.6, -0.8, 0.6, 0.0)}),
        ("i2", {"cosines": (-1, 0, 0, 0, 1, 0), "step": 3.0}),
    ],
)
def test_plain_frames_are_read_by_region_as_itk_reads_them(
    tmp_path: Path, dtype: str, options: dict[str, Any]
) -> None:
    source = check_as_itk(tmp_path / "a.dcm", enhanced_bytes(noise(dtype), **options))
    assert source.reads_regions
    check_reader(source, boxes=5)


@pytest.mark.parametrize(
    "options",
    [
        {"each": [PAIR, PAIR, PAIR, ("2", "-4")]},
        {"each": [("1", "0"), PAIR, PAIR, PAIR]},
        {"each": [PAIR, None, PAIR, PAIR]},
        {"each": [None, PAIR, PAIR, PAIR], "has_lengths": True},
        {"scaling": PAIR},
        {"scaling": PAIR, "shared": ("3", "1")},
        {"colours": "MONOCHROME1"},
        {"sop_class": "1.2.840.10008.5.1.4.1.1.20"},
        {"sop_class": "1.2.840.10008.5.1.4.1.1.3.1"},
    ],
)
def test_frames_that_differ_or_are_of_another_kind_are_left_to_itk(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    source = check_as_itk(tmp_path / "a.dcm", enhanced_bytes(noise("i2"), **options))
    assert not source.reads_regions


def test_a_slope_in_a_sequence_of_another_meaning_does_not_count(tmp_path: Path) -> None:
    content = enhanced_bytes(noise("i2"), shared=PAIR)
    other = content.replace(struct.pack("<HH", 0x28, 0x9145), struct.pack("<HH", 0x28, 0x9999))
    assert check_as_itk(tmp_path / "a.dcm", other).dtype == np.int16


def test_one_frame_in_a_file_is_read_by_rows_too(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(dicom_bytes(noise("i2")[0], scaling=("1", "-10")))
    source = open_volume(tmp_path / "a.dcm")
    assert source.reads_regions
    np.testing.assert_array_equal(source.read(), ItkSource(tmp_path / "a.dcm").read(), strict=True)


def test_more_rows_than_the_file_holds_are_refused_before_memory_is_had(tmp_path: Path) -> None:
    rows, claimed = (element(0x00280010, "US", n.to_bytes(2, "little")) for n in (6, 60000))
    content = enhanced_bytes(noise("i2"), shared=PAIR)
    assert content.count(rows) == 1
    (tmp_path / "a.dcm").write_bytes(content.replace(rows, claimed))
    with pytest.raises(VolumeReadError, match=r"a\.dcm: .*2400000 bytes of voxels, the file has"):
        open_volume(tmp_path / "a.dcm")


def test_a_file_that_is_cut_is_named_when_it_is_opened(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(enhanced_bytes(noise("i2"))[:-8])
    with pytest.raises(VolumeReadError, match=r"a\.dcm: "):
        open_volume(tmp_path / "a.dcm")
