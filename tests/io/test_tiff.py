from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom._errors import VolumeReadError
from voxloom.geometry import Box
from voxloom.io import TiffSource

tifffile = pytest.importorskip("tifffile")
VOXELS = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


def write(folder: Path, voxels: Any = VOXELS.T, **options: Any) -> Path:
    options.setdefault("photometric", "minisblack")
    tifffile.imwrite(folder / "t1.tif", voxels, **options)
    return folder / "t1.tif"


@pytest.mark.parametrize(
    ("unit", "millimetres"), [("mm", 1.0), ("µm", 1e-3), ("nm", 1e-6), ("cm", 10.0)]
)
def test_ome_gives_spacing_in_its_units(tmp_path: Path, unit: str, millimetres: float) -> None:
    sizes = {f"PhysicalSize{axis}": n for axis, n in zip("XYZ", (0.5, 0.75, 3), strict=True)}
    units = {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    path = write(tmp_path, ome=True, metadata={"axes": "ZYX", **sizes, **units})
    np.testing.assert_allclose(
        TiffSource(path).space.spacing, np.array([0.5, 0.75, 3]) * millimetres
    )


def test_imagej_gives_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "spacing": 2.0, "unit": "um"}
    tifffile.imwrite(path, VOXELS.T, imagej=True, resolution=(4, 2), metadata=metadata)
    np.testing.assert_allclose(TiffSource(path).space.spacing, (0.25e-3, 0.5e-3, 2e-3))


@pytest.mark.parametrize(("unit", "millimetres"), [(2, 25.4), (3, 10.0), (1, None)])
def test_resolution_tags_give_spacing(tmp_path: Path, unit: int, millimetres: Any) -> None:
    path = write(tmp_path, resolution=(20, 40), resolutionunit=unit, metadata=None)
    expected = (1, 1) if millimetres is None else (millimetres / 20, millimetres / 40)
    np.testing.assert_allclose(TiffSource(path).space.spacing[:2], expected)


def test_channels_come_first(tmp_path: Path) -> None:
    stored = np.stack([VOXELS, VOXELS + 1])
    path = write(tmp_path, stored.transpose(3, 0, 2, 1), ome=True, metadata={"axes": "ZCYX"})
    np.testing.assert_array_equal(TiffSource(path).read(), stored)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_plain_pages_are_mapped_and_packed_ones_are_not(tmp_path: Path, compression: Any) -> None:
    source = TiffSource(write(tmp_path, compression=compression))
    assert source.reads_regions is (compression is None)
    np.testing.assert_array_equal(source.read()[0], VOXELS)


@pytest.mark.parametrize(
    ("axes", "options"), [("ZYX", {}), ("ZCYX", {"ome": True}), ("CZYX", {"ome": True})]
)
def test_only_the_pages_of_a_box_are_decoded(
    tmp_path: Path, axes: str, options: dict[str, Any]
) -> None:
    stored = np.stack([VOXELS, VOXELS + 1]) if "C" in axes else VOXELS[None]
    order = ["CXYZ".index(axis) for axis in axes]
    voxels = stored.transpose(order) if "C" in axes else stored[0].T
    path = write(tmp_path, voxels, compression="zlib", metadata={"axes": axes}, **options)
    with tifffile.TiffFile(path) as file:
        depth = axes.index("Z")
        lead = np.arange(len(file.pages)).reshape(voxels.shape[:-2])
        pages = [file.pages[int(n)] for n in lead.take([5, 6], axis=depth).ravel()]
        places = [(page.dataoffsets[0], page.databytecounts[0]) for page in pages]
    content = bytearray(path.read_bytes())
    for place, length in places:
        content[place : place + length] = bytes(length)
    path.write_bytes(content)
    box = Box((1, 0, 2), (4, 5, 5))
    source = TiffSource(path)
    np.testing.assert_array_equal(source.read(box), stored[(slice(None), *box.slices)])
    with pytest.raises(VolumeReadError, match=r"t1\.tif: tifffile cannot read it"):
        source.read()


def test_another_file_under_the_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"not a TIFF file")
    with pytest.raises(VolumeReadError, match=r"a\.tif: tifffile cannot read it, TiffFileError"):
        TiffSource(path)


def test_pages_that_go_round_in_a_circle_end(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((2, 5, 6), np.uint8), photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        first, last = file.pages[0].offset, file.pages[1].offset
    content = bytearray(path.read_bytes())
    count = int.from_bytes(content[last : last + 2], "little")
    link = last + 2 + 12 * count
    content[link : link + 4] = first.to_bytes(4, "little")
    for place in range(first + 4, first + 2 + 12 * count, 12):
        content[place] = 0  # the types of the first page's tags, so that it has no shape
    path.write_bytes(content)
    with pytest.raises(VolumeReadError, match=r"a\.tif"):
        TiffSource(path).read()


@pytest.mark.parametrize("options", [{"compression": "zlib"}, {"imagej": True}, {"metadata": None}])
@pytest.mark.parametrize("kept", [0.5, 0.9])
def test_a_stack_that_was_cut_is_no_smaller_stack(
    tmp_path: Path, options: Any, kept: float
) -> None:
    path = write(tmp_path, np.arange(24000, dtype=np.uint16).reshape(20, 30, 40), **options)
    assert 20 in TiffSource(path).shape
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(VolumeReadError, match=r"pages of it are missing, .*invalid page offset"):
        TiffSource(path)


def test_a_channel_whose_file_is_missing_is_not_zeros(tmp_path: Path) -> None:
    names = [f"m{channel}.ome.tif" for channel in range(2)]
    planes = "".join(
        f'<TiffData FirstC="{channel}" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{channel}</UUID></TiffData>'
        for channel, name in enumerate(names)
    )
    for channel, name in enumerate(names):
        text = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{channel}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            f'DimensionOrder="XYZCT" Type="uint16" SizeX="5" SizeY="4" SizeZ="1" SizeC="2" '
            f'SizeT="1">{planes}</Pixels></Image></OME>'
        )
        voxels = np.full((4, 5), channel + 1, np.uint16)
        tifffile.imwrite(tmp_path / name, voxels, description=text, metadata=None)
    source = TiffSource(tmp_path / names[0])
    assert source.read().max(axis=(1, 2, 3)).tolist() == [1, 2]
    (tmp_path / names[1]).unlink()
    with pytest.raises(VolumeReadError, match=r"pages of it are missing, .*m1\.ome\.tif"):
        TiffSource(tmp_path / names[0])
