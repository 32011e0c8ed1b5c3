import gzip
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError
from voxloom.io._nifti_header import pair_of, read_nifti_header

Array = np.ndarray[Any, Any]
Save = Callable[..., str]


def poke(path: str, offset: int, kind: str, *values: float) -> None:
    content = bytearray(Path(path).read_bytes())
    struct.pack_into(kind, content, offset, *values)
    Path(path).write_bytes(content)


@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize(
    ("image_class", "offset"), [(nibabel.Nifti1Image, 352), (nibabel.Nifti2Image, 544)]
)
def test_header_agrees_with_nibabel(
    save: Save, voxels: Array, endianness: str, image_class: Any, offset: int
) -> None:
    path = save(voxels, image_class=image_class, endianness=endianness)
    header = read_nifti_header(path)
    assert header.shape == (1, 5, 6, 7)
    assert header.disk_dtype == np.dtype(f"{endianness}i2")
    assert header.offset == offset
    assert header.scaling is None
    np.testing.assert_array_equal(header.affine, nibabel.load(path).affine)


@pytest.mark.parametrize(
    ("on_disk", "shape"),
    [
        ((5,), (1, 5, 1, 1)),
        ((5, 6), (1, 5, 6, 1)),
        ((5, 6, 7), (1, 5, 6, 7)),
        ((5, 6, 7, 3), (3, 5, 6, 7)),
        ((5, 6, 7, 1, 3), (3, 5, 6, 7)),
        ((5, 6, 7, 2, 3), (6, 5, 6, 7)),
        ((5, 6, 7, 1, 1, 1), (1, 5, 6, 7)),
    ],
)
def test_axes_after_the_third_are_channels(
    save: Save, on_disk: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    assert read_nifti_header(save(np.zeros(on_disk, np.uint8))).shape == shape


@pytest.mark.parametrize(
    ("offset", "kind", "values", "message"),
    [
        (0, "<i", (349,), "expected a NIfTI header, which begins with its size, 348 or 540"),
        (344, "4s", (b"abc\0",), "expected b'n+1\\x00' or b'ni1\\x00' at byte 344, got b'abc"),
        (344, "4s", (b"ni1\0",), "expected the header of one file, got that of a pair"),
        (40, "<h", (0,), "expected 1 to 7 axes, the header says 0"),
        (40, "<h", (8,), "expected 1 to 7 axes, the header says 8"),
        (40, "<h", (-3,), "expected 1 to 7 axes, the header says -3"),
        (42, "<h", (0,), "expected at least one voxel along each axis, the header says (0, 6, 7)"),
        (44, "<h", (-6,), "expected at least one voxel along each axis"),
        (42, "<h", (32767,), "needs 2752780 bytes, the file has 772"),
        (42, "<h", (4,), "needs 688 bytes, the file has 772"),
        (70, "<h", (3,), "expected a NIfTI datatype among"),
        (70, "<h", (512 + 7,), "expected a NIfTI datatype among"),
        (72, "<h", (8,), "expected 16 bits a voxel for datatype 4, got 8"),
        (108, "<f", (0,), "expected the voxels to begin at byte 348 or later, vox_offset is 0"),
        (108, "<f", (352.5,), "vox_offset is 352.5"),
        (108, "<f", (-1,), "vox_offset is -1"),
        (108, "<f", (float("nan"),), "vox_offset is nan"),
        (108, "<f", (1e9,), "needs 1000000420 bytes, the file has 772"),
        (280, "<f", (float("nan"),), "the header gives no usable affine"),
        (280, "<f", (1e30,), "the header gives no usable affine, it reaches 1e+30 mm far"),
        (280, "<12f", (0,) * 12, "the header gives no usable affine"),
    ],
)
def test_a_header_that_lies_is_refused(
    save: Save, voxels: Array, offset: int, kind: str, values: tuple[Any, ...], message: str
) -> None:
    path = save(voxels)
    poke(path, offset, kind, *values)
    with pytest.raises(VolumeReadError, match=re.escape(path) + ".*" + re.escape(message)):
        read_nifti_header(path)


@pytest.mark.parametrize(
    ("slope", "inter", "scaling"),
    [
        (0, 5, None),
        (float("nan"), 5, None),
        (float("inf"), 5, None),
        (1, 0, None),
        (1, 5, (1, 5)),
        (-2, 0, (-2, 0)),
    ],
)
def test_scaling_is_what_nibabel_takes_it_for(
    save: Save, voxels: Array, slope: float, inter: float, scaling: tuple[float, float] | None
) -> None:
    path = save(voxels)
    poke(path, 112, "<2f", slope, inter)
    assert read_nifti_header(path).scaling == scaling
    theirs = nibabel.load(path).dataobj
    assert (theirs.slope, theirs.inter) == (scaling or (1, 0))


def test_intercept_that_is_not_finite_is_refused(save: Save, voxels: Array) -> None:
    path = save(voxels)
    poke(path, 112, "<2f", 2, float("inf"))
    with pytest.raises(VolumeReadError, match="expected a finite scl_inter beside scl_slope=2"):
        read_nifti_header(path)


@pytest.mark.parametrize(
    ("code", "what"),
    [(1, "single bits"), (32, "complex"), (128, "RGB"), (1536, "128-bit"), (2304, "RGBA")],
)
def test_voxels_that_are_not_numbers_are_refused(
    save: Save, voxels: Array, code: int, what: str
) -> None:
    path = save(voxels)
    poke(path, 70, "<h", code)
    message = f"{re.escape(path)}: its voxels are {what}.*pass reader="
    with pytest.raises(UnknownFormatError, match=message):
        read_nifti_header(path)


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
def test_missing_file(tmp_path: Path, name: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(VolumeNotFoundError, match=f"{re.escape(path)}: there is no such file"):
        read_nifti_header(path)


@pytest.mark.parametrize("name", ["t1.nii", "t1.nii.gz"])
def test_empty_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()
    with pytest.raises(VolumeReadError, match=f"{re.escape(str(path))}: .*the file is empty"):
        read_nifti_header(str(path))


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "t1.nii"
    folder.mkdir()
    with pytest.raises(VolumeReadError, match=f"{re.escape(str(folder))}: cannot be read, Is a "):
        read_nifti_header(str(folder))


def test_short_header(tmp_path: Path, save: Save, voxels: Array) -> None:
    path = tmp_path / "short.nii"
    path.write_bytes(Path(save(voxels)).read_bytes()[:200])
    with pytest.raises(VolumeReadError, match="expected a header of 348 bytes, got 200"):
        read_nifti_header(str(path))


def test_compressed_file_too_small_for_its_volume_is_refused(save: Save) -> None:
    path = save(np.zeros((5, 6, 7), np.uint8), "t1.nii")
    poke(path, 42, "<3h", 3000, 3000, 3000)
    packed = save(np.zeros(1, np.uint8), "packed.nii.gz")
    Path(packed).write_bytes(gzip.compress(Path(path).read_bytes()))
    message = "needs 27000000352 bytes, [0-9]+ compressed bytes cannot hold them"
    with pytest.raises(VolumeReadError, match=message):
        read_nifti_header(packed)


@pytest.mark.parametrize("asked", ["t1.hdr", "t1.img"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_pairs_are_found_from_either_file(
    save: Save, voxels: Array, asked: str, suffix: str
) -> None:
    path = Path(save(voxels, "t1.img" + suffix, nibabel.Nifti1Pair))
    header = read_nifti_header(str(path.with_name(asked + suffix)))
    assert header.voxel_path == str(path)
    assert header.compressed == bool(suffix)
    assert header.offset == 0


def test_pair_of_which_only_the_voxels_are_compressed(save: Save, voxels: Array) -> None:
    path = Path(save(voxels, "t1.img", nibabel.Nifti1Pair))
    packed = path.with_name("t1.img.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert pair_of(str(path.with_suffix(".hdr"))) == (str(path.with_suffix(".hdr")), str(packed))
    assert read_nifti_header(str(packed)).shape == (1, 5, 6, 7)


def test_pair_without_its_other_half(save: Save, voxels: Array) -> None:
    path = Path(save(voxels, "t1.img", nibabel.Nifti1Pair))
    path.unlink()
    with pytest.raises(VolumeNotFoundError, match=re.escape(f"{path}: there is no such file")):
        read_nifti_header(str(path.with_suffix(".hdr")))
