"""Readers that need an optional library keep the same contract, and name files they refuse."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxloom._errors import VolumeReadError, VoxloomError
from voxloom.geometry import Box
from voxloom.io import open_volume
from voxloom.testing._reader_contract import check_reader

VOXELS: np.ndarray[Any, Any] = np.random.default_rng(0).integers(0, 99, (5, 6, 7)).astype(np.int16)
TWO: np.ndarray[Any, Any] = np.stack([VOXELS, VOXELS + 1])


def nrrd(folder: Path) -> str:
    return itk(folder / "t1.nrrd", packed=False)


def nrrd_gzip(folder: Path) -> str:
    return itk(folder / "t1.nrrd", packed=True)


def nhdr(folder: Path) -> str:
    return itk(folder / "t1.nhdr", packed=False)


def mha(folder: Path) -> str:
    return itk(folder / "t1.mha", packed=False)


def mha_packed(folder: Path) -> str:
    return itk(folder / "t1.mha", packed=True)


def mhd(folder: Path) -> str:
    return itk(folder / "t1.mhd", packed=False)


def itk(path: Path, *, packed: bool) -> str:
    sitk = pytest.importorskip("SimpleITK")
    sitk.WriteImage(sitk.GetImageFromArray(VOXELS.T), str(path), packed)
    return str(path)


def hdf5(folder: Path) -> str:
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "t1.h5", "w") as file:
        file.create_dataset("t1", data=TWO, chunks=(1, 4, 4, 4), compression="gzip")
    return str(folder / "t1.h5")


def blosc(folder: Path) -> str:
    blosc2 = pytest.importorskip("blosc2")
    options = {"chunks": (1, 4, 4, 4), "blocks": (1, 2, 2, 2), "cparams": {"nthreads": 1}}
    blosc2.asarray(TWO, urlpath=str(folder / "t1.b2nd"), mode="w", **options)
    return str(folder / "t1.b2nd")


def tiff(folder: Path) -> str:
    pytest.importorskip("tifffile").imwrite(folder / "t1.tif", VOXELS.T, photometric="minisblack")
    return str(folder / "t1.tif")


def tiff_packed(folder: Path) -> str:
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(
        folder / "t1.tif", VOXELS.T, photometric="minisblack", compression="zlib", byteorder=">"
    )
    return str(folder / "t1.tif")


def ome_tiff(folder: Path) -> str:
    tifffile = pytest.importorskip("tifffile")
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "mm"}
    stored = TWO.transpose(3, 0, 2, 1)
    tifffile.imwrite(
        folder / "t1.ome.tif",
        stored,
        photometric="minisblack",
        ome=True,
        metadata=metadata,
        compression="zlib",
    )
    return str(folder / "t1.ome.tif")


def zarr_of(version: int, *, shards: bool = False, **options: Any) -> Callable[[Path], str]:
    def write(folder: Path) -> str:
        zarr = pytest.importorskip("zarr")
        path = str(folder / "t1.zarr")
        if shards:
            options["shards"] = (2, 4, 8, 8)
        array = zarr.create_array(
            path,
            shape=TWO.shape,
            dtype="int16",
            chunks=(1, 4, 4, 4),
            zarr_format=version,
            **options,
        )
        array[...] = TWO
        return path

    return write


FORMATS: dict[str, Callable[[Path], str]] = {
    "nrrd": nrrd,
    "nrrd gzip": nrrd_gzip,
    "nhdr": nhdr,
    "mha": mha,
    "mha packed": mha_packed,
    "mhd": mhd,
    "hdf5": hdf5,
    "blosc2": blosc,
    "tiff": tiff,
    "tiff packed": tiff_packed,
    "ome-tiff": ome_tiff,
    "zarr 2": zarr_of(2),
    "zarr 2 raw": zarr_of(2, compressors=None),
    "zarr 3": zarr_of(3),
    "zarr 3 raw": zarr_of(3, compressors=None),
    "zarr 3 shards": zarr_of(3, shards=True),
    "zarr 3 shards raw": zarr_of(3, shards=True, compressors=None),
}


@pytest.mark.parametrize("name", FORMATS)
def test_reader_keeps_the_contract(tmp_path: Path, name: str) -> None:
    check_reader(open_volume(FORMATS[name](tmp_path)))


@pytest.mark.parametrize("name", FORMATS)
def test_voxels_are_those_that_were_written(tmp_path: Path, name: str) -> None:
    source = open_volume(FORMATS[name](tmp_path))
    expected = TWO if source.shape[0] == 2 else VOXELS[None]
    np.testing.assert_array_equal(source.read(), expected)
    box = Box((1, 2, 3), (5, 6, 4))
    np.testing.assert_array_equal(source.read(box), expected[(slice(None), *box.slices)])


@pytest.mark.parametrize("name", FORMATS)
def test_an_absent_file_is_named(tmp_path: Path, name: str) -> None:
    path = Path(FORMATS[name](tmp_path))
    gone = str(path.with_name(f"gone{path.suffix}"))
    with pytest.raises(FileNotFoundError, match=r"gone\.\w+.*there is no"):
        open_volume(gone)


@pytest.mark.parametrize("name", [name for name in FORMATS if "zarr" not in name])
def test_an_empty_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    path = Path(FORMATS[name](tmp_path))
    path.write_bytes(b"")
    with pytest.raises(VolumeReadError, match=path.name):
        open_volume(path)


def stored_bytes(path: Path) -> Path:
    """Return the file that is damaged: metadata or voxels, the largest of a folder."""
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return max(files, key=lambda file: (file.stat().st_size, file.name))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_damage_gives_our_error_with_the_files_name_or_voxels(name: str, data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(FORMATS[name](Path(folder)))
        damage(stored_bytes(path), data)
        refused = refusal(path)
    assert refused is None or path.name in refused


def damage(file: Path, data: Any) -> None:
    content = bytearray(file.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content) - 1), label="length") :]
    else:
        for _ in range(data.draw(st.integers(1, 8), label="changes")):
            place = data.draw(st.integers(0, len(content) - 1), label="place")
            content[place] = data.draw(st.integers(0, 255), label="byte")
    file.unlink()
    file.write_bytes(content)


def refusal(path: Path) -> str | None:
    """Return what our error says, or None where the volume is read; no other error passes."""
    try:
        source = open_volume(path)
        if np.prod(source.shape, dtype=float) < 1e7:
            source.read()
    except VoxloomError as error:
        return str(error)
    return None
