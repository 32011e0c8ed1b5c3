import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError, VolumeReadError
from voxloom.geometry import Box
from voxloom.io import ZarrSource, open_volume
from voxloom.testing._reader_contract import check_reader

zarr = pytest.importorskip("zarr")
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
