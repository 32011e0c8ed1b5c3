import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeNotFoundError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ZarrSource, open_volume
from voxloom.io._zarr_chunks import _check_zstd
from voxloom.testing._reader_contract import check_reader

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")
PLAIN = np.arange(120, dtype=np.int16).reshape(4, 5, 6)
VOXELS = np.arange(2 * 5 * 6 * 7, dtype=np.int16).reshape(2, 5, 6, 7)
AXES = [{"name": "c", "type": "channel"}] + [
    {"name": name, "type": "space", "unit": "millimeter"} for name in "zyx"
]


def write_ome(folder: Path, version: str) -> str:
    """Write (c, z, y, x) as the viewers of OME-Zarr expect it."""
    path = folder / "t1.ome.zarr"
    zarr_format = 2 if version == "0.4" else 3
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format)
    array = group.create_array("0", shape=(2, 7, 6, 5), dtype="int16", chunks=(1, 4, 4, 4))
    array[...] = VOXELS.transpose(0, 3, 2, 1)
    changes = [
        {"type": "scale", "scale": [1, 3, 2, 0.5]},
        {"type": "translation", "translation": [0, 7, 8, 9]},
    ]
    datasets = [{"path": "0", "coordinateTransformations": changes}]
    images = [{"version": version, "axes": AXES, "datasets": datasets}]
    if version == "0.4":
        group.attrs["multiscales"] = images
    else:
        group.attrs["ome"] = {"version": version, "multiscales": images}
    return str(path)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_has_its_axes_affine_and_voxels(tmp_path: Path, version: str) -> None:
    source = open_volume(write_ome(tmp_path, version))
    check_reader(source)
    np.testing.assert_array_equal(source.read(), VOXELS)
    expected = [[0.5, 0, 0, 9], [0, 2, 0, 8], [0, 0, 3, 7], [0, 0, 0, 1]]
    np.testing.assert_array_equal(source.affine, expected)


def test_a_box_gives_the_voxels_in_it(tmp_path: Path) -> None:
    box = Box((1, 2, 3), (5, 4, 7))
    patch = ZarrSource(write_ome(tmp_path, "0.5")).read(box)
    np.testing.assert_array_equal(patch, VOXELS[(slice(None), *box.slices)])


def test_names_of_axes_order_a_plain_array(tmp_path: Path) -> None:
    array = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(7, 6, 5), dtype="int16", dimension_names=["z", "y", "x"]
    )
    array[...] = VOXELS[0].T
    np.testing.assert_array_equal(ZarrSource(tmp_path / "a.zarr").read()[0], VOXELS[0])


def test_an_affine_among_the_attributes_is_used(tmp_path: Path, oblique: Any) -> None:
    array = zarr.create_array(str(tmp_path / "a.zarr"), shape=(5, 6, 7), dtype="int16")
    array.attrs["affine"] = oblique.tolist()
    np.testing.assert_array_equal(ZarrSource(tmp_path / "a.zarr").affine, oblique)


def test_chunks_that_are_not_there_hold_the_fill_value(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(9, 9, 9), dtype="f4", fill_value=np.nan)
    assert np.isnan(ZarrSource(tmp_path / "a.zarr").read()).all()


def test_a_folder_without_the_suffix_is_opened(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a"), shape=(5, 6, 7), dtype="int16")
    assert open_volume(tmp_path / "a").shape == (1, 5, 6, 7)


def test_a_group_without_an_image_is_refused(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(VolumeReadError, match="a group without 'multiscales'"):
        ZarrSource(tmp_path / "a.zarr")


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(5, 6, 7), dtype="complex64")
    with pytest.raises(UnknownFormatError, match="expected booleans, integers or floats"):
        ZarrSource(tmp_path / "a.zarr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": [5, -6, 7]}, "are not those of an array"),
        ({"shape": [10**9, 10**9, 10**9]}, "is larger than any storage"),
        ({"shape": "many"}, r"a\.zarr: "),
        ({"codecs": None}, "the Zarr reader cannot read it"),
        ({"chunk_grid": {"configuration": {"chunk_shape": [10**4] * 3}}}, "one chunk has"),
    ],
)
def test_metadata_that_lie_are_refused(tmp_path: Path, change: Any, message: str) -> None:
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(5, 6, 7), dtype="int16")
    file = tmp_path / "a.zarr" / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(VolumeReadError, match=message):
        ZarrSource(tmp_path / "a.zarr")


def test_an_image_cannot_point_out_of_its_group(tmp_path: Path) -> None:
    path = Path(write_ome(tmp_path, "0.5"))
    text = (path / "zarr.json").read_text()
    (path / "zarr.json").write_text(text.replace('"path": "0"', '"path": "../secret"'))
    with pytest.raises(VolumeReadError, match="lies outside of its group"):
        ZarrSource(path)


@pytest.mark.parametrize("codec", ["gzip", "zstd", "raw"])
def test_an_array_that_is_gone_is_no_array_of_zeros(tmp_path: Path, codec: str) -> None:
    source = ZarrSource(write_array(tmp_path / "a.zarr", PLAIN, codec))
    assert source.read().max() == 119
    shutil.rmtree(tmp_path / "a.zarr")
    with pytest.raises(VolumeNotFoundError, match="that was opened here is gone"):
        source.read()


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
def test_an_array_that_was_written_anew_is_read_as_it_is_now(tmp_path: Path, codec: str) -> None:
    for dtype in ("int32", "float32", ">i4"):
        voxels = PLAIN.astype(dtype)
        shutil.rmtree(tmp_path / "a.zarr", ignore_errors=True)
        read = ZarrSource(write_array(tmp_path / "a.zarr", voxels, codec)).read()[0]
        assert np.array_equal(read, voxels)


def test_a_zstd_chunk_that_holds_less_is_refused(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.zarr", PLAIN, "zstd")
    chunk = Path(path, "0.0.0")
    chunk.write_bytes(numcodecs.Zstd().encode(PLAIN.tobytes()[:20]))
    with pytest.raises(VolumeReadError, match="a chunk unpacks to 20 bytes, not to"):
        open_volume(path).read()
    chunk.write_bytes(b"no frame")
    with pytest.raises(VolumeReadError, match="is no zstd frame"):
        open_volume(path).read()


@pytest.mark.parametrize("size", [1, 255, 256, 65791, 65792, 70000])
def test_the_size_of_a_zstd_frame_is_read_in_each_of_its_widths(size: int) -> None:
    packed = numcodecs.Zstd().encode(bytes(size))
    _check_zstd("a", packed, size)
    with pytest.raises(VolumeReadError, match=f"unpacks to {size} bytes, not to {size + 1}"):
        _check_zstd("a", packed, size + 1)


def test_in_a_fork_of_a_process_that_read_by_tensorstore_another_library_reads(
    tmp_path: Path,
) -> None:
    """Tensorstore would end the child: its threads are not there."""
    path = write_array(tmp_path / "a.zarr", PLAIN, "gzip")
    code = """
import os, sys
from voxloom.io import open_volume
before = open_volume(sys.argv[1]).read()
child = os.fork()
if not child:
    os._exit(7 if (open_volume(sys.argv[1]).read() == before).all() else 8)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
"""
    subprocess.run([sys.executable, "-c", code, path], check=True, timeout=60)


def write_array(folder: Path, voxels: Any, codec: str) -> str:
    compressors = {"gzip": numcodecs.GZip(), "zstd": numcodecs.Zstd(), "raw": None}
    stored = zarr.create_array(
        folder, shape=voxels.shape, chunks=voxels.shape, dtype=voxels.dtype, zarr_format=2,
        compressors=compressors[codec], fill_value=0,
    )  # fmt: skip
    stored[...] = voxels
    return str(folder)


@pytest.mark.parametrize("names", [["lz4"], ["lzma"], ["delta", "zstd"], ["shuffle", "blosc"]])
def test_what_only_zarr_python_decodes_is_read_through_it(tmp_path: Path, names: list[str]) -> None:
    known = {"delta": {"dtype": "<i2"}, "shuffle": {"elementsize": 2}}
    *filters, last = (numcodecs.get_codec({"id": name, **known.get(name, {})}) for name in names)
    stored = zarr.create_array(
        tmp_path / "a.zarr", shape=PLAIN.shape, chunks=(2, 3, 4), dtype="int16", zarr_format=2,
        compressors=last, filters=filters or None,
    )  # fmt: skip
    stored[...] = PLAIN
    source = open_volume(tmp_path / "a.zarr")
    check_reader(source)
    np.testing.assert_array_equal(source.read()[0], PLAIN)
    chunk = tmp_path / "a.zarr" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:7])
    with pytest.raises(VolumeReadError, match="zarr cannot read it"):
        source.read()


def test_pickled_chunks_are_refused(tmp_path: Path) -> None:
    path = write_array(tmp_path / "a.zarr", PLAIN, "zstd")
    metadata = json.loads((tmp_path / "a.zarr" / ".zarray").read_text())
    metadata["filters"] = [{"id": "pickle", "protocol": 5}]
    (tmp_path / "a.zarr" / ".zarray").write_text(json.dumps(metadata))
    with pytest.raises(UnknownFormatError, match="its chunks are pickled"):
        open_volume(path)


@pytest.mark.filterwarnings("ignore:Numcodecs codecs are not in the Zarr version 3")
def test_codecs_inside_a_shard_that_only_zarr_python_decodes(tmp_path: Path) -> None:
    stored = zarr.create_array(
        tmp_path / "a.zarr", shape=PLAIN.shape, chunks=(2, 5, 3), shards=(4, 5, 6), dtype="int16",
        compressors={"name": "numcodecs.lz4", "configuration": {}},
    )  # fmt: skip
    stored[...] = PLAIN
    np.testing.assert_array_equal(open_volume(tmp_path / "a.zarr").read()[0], PLAIN)
