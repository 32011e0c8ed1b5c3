import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import NibabelSource
from voxloom.testing import check_reader

Array = np.ndarray[Any, Any]
Save = Callable[..., str]

BOX = Box((1, 2, 3), (4, 4, 6))


# nibabel leaves the closing of .mgh files to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", ["t1.mgh", "t1.mgz"])
@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_mgh_volumes(save: Save, oblique: Array, name: str, dtype: str) -> None:
    voxels = np.arange(5 * 6 * 7).reshape(5, 6, 7).astype(dtype)
    path = str(Path(save(voxels)).with_name(name))
    nibabel.MGHImage(voxels, oblique).to_filename(path)
    source = NibabelSource(path)
    assert source.dtype == np.dtype(dtype)
    np.testing.assert_allclose(source.affine, oblique, atol=1e-4)
    np.testing.assert_array_equal(source.read()[0], voxels, strict=True)
    np.testing.assert_array_equal(source.read(BOX)[0], voxels[BOX.slices], strict=True)


def test_channels_come_first(tmp_path: Path) -> None:
    voxels = np.arange(5 * 6 * 7 * 3, dtype=np.float32).reshape(5, 6, 7, 3)
    nibabel.MGHImage(voxels, np.eye(4)).to_filename(tmp_path / "t1.mgz")
    read = NibabelSource(tmp_path / "t1.mgz").read()
    np.testing.assert_array_equal(read, np.moveaxis(voxels, -1, 0), strict=True)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("minc1_4d", (2, 10, 20, 20)), ("minc2_4d", (2, 10, 20, 20)), ("small", (1, 18, 28, 29))],
)
def test_minc_volumes_have_their_own_order_and_time_is_channels(
    name: str, shape: tuple[int, ...]
) -> None:
    path = Path(nibabel.__file__).parent / "tests" / "data" / f"{name}.mnc"
    theirs: Any = nibabel.load(path)
    source = NibabelSource(path)
    assert source.shape == shape
    assert np.array_equal(source.affine, theirs.affine)
    assert np.allclose(source.read(), theirs.get_fdata().reshape(shape))
    box = Box((1, 2, 3), (4, 5, 6))
    assert np.array_equal(source.read(box), source.read()[(slice(None), *box.slices)])


def test_scaled_voxels_are_floats(save: Save) -> None:
    voxels = np.linspace(-3, 5, 5 * 6 * 7).reshape(5, 6, 7)
    path = save(voxels, change=lambda header: header.set_data_dtype("int16"))
    source = NibabelSource(path)
    assert source.dtype == np.float32
    assert source.read().dtype == np.float32
    np.testing.assert_allclose(source.read()[0], voxels, atol=1e-3)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(VolumeNotFoundError, match=r"none\.mgz: there is no such file"):
        NibabelSource(tmp_path / "none.mgz")


@pytest.mark.parametrize("kept", [0, 10, 300])
def test_damaged_files_are_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "t1.mgz"
    nibabel.MGHImage(np.random.default_rng(0).random((9, 9, 9), np.float32), None).to_filename(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(VolumeReadError, match=re.escape(str(path))):
        NibabelSource(path).read()


@pytest.mark.parametrize("place", [-8, -4, 20_000])
def test_a_flipped_byte_of_a_compressed_file_is_seen(tmp_path: Path, place: int) -> None:
    path = tmp_path / "t1.mgz"
    voxels = np.random.default_rng(0).random((20, 20, 20), np.float32)
    nibabel.MGHImage(voxels, np.eye(4)).to_filename(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 16
    path.write_bytes(content)
    with pytest.raises(VolumeReadError, match=r"t1\.mgz: cannot be decoded"):
        NibabelSource(path).read()


@pytest.mark.parametrize("name", ["t1.mgz", "t1.img.gz"])
def test_voxels_do_not_depend_on_what_nibabel_finds_to_decode_gzip_with(
    tmp_path: Path, voxels: Array, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = nibabel.AnalyzeImage if ".img" in name else nibabel.MGHImage
    kind(voxels, np.diag([-1, 1, 1, 1])).to_filename(tmp_path / name)
    source = NibabelSource(tmp_path / name)

    def indexed(name: str, **more: Any) -> Any:  # indexed_gzip, where that is installed
        raise AssertionError(f"nibabel decodes {name}") if Path(name).exists() else OSError(name)

    monkeypatch.setattr("nibabel._compression.HAVE_INDEXED_GZIP", True)
    monkeypatch.setattr("nibabel._compression.IndexedGzipFile", indexed)
    np.testing.assert_array_equal(source.read()[0], voxels, strict=True)
    check_reader(source)
    with pytest.raises(AssertionError, match="nibabel decodes"):
        nibabel.load(tmp_path / name)


def test_colours_are_refused(save: Save) -> None:
    path = save(np.zeros((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")]))
    with pytest.raises(UnknownFormatError, match=f"{re.escape(path)}: expected booleans, integers"):
        NibabelSource(path)


def test_an_error_is_raised_and_not_printed_as_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    nibabel.AnalyzeImage(np.zeros((4, 4, 4), np.float32), np.eye(4)).to_filename(tmp_path / "a.img")
    header = bytearray((tmp_path / "a.hdr").read_bytes())
    header[70:72] = b"\0\0"
    (tmp_path / "a.hdr").write_bytes(header)
    with pytest.raises(VolumeReadError, match="data code 0 not supported"):
        _ = NibabelSource(tmp_path / "a.img").dtype
    assert (capfd.readouterr().err, caplog.records) == ("", [])
