"""Every reader keeps the public contract, and the contract finds the ones that do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from voxloom.geometry import Box, Space
from voxloom.io import (
    Array,
    ArraySource,
    ChannelSource,
    NibabelSource,
    NiftiSource,
    NpySource,
    ReaderSource,
    VolumeSource,
    write_nifti,
)
from voxloom.testing._reader_contract import check_reader

VOXELS = np.random.default_rng(0).integers(-9, 99, (2, 5, 6, 7)).astype(np.int16)
AFFINE = np.diag([2.0, -2.0, 3.0, 1.0])


def read_it(path: str) -> tuple[Array, Array]:
    return VOXELS, AFFINE


def scaled(folder: Path, name: str) -> str:
    image = nibabel.Nifti1Image(np.linspace(0, 9, 210).reshape(5, 6, 7), AFFINE)
    image.header.set_data_dtype("uint8")
    image.to_filename(folder / name)
    return str(folder / name)


def big_endian(folder: Path, name: str) -> str:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype("i2")
    nibabel.Nifti1Image(VOXELS[0], AFFINE, header).to_filename(folder / name)
    return str(folder / name)


def pair(folder: Path) -> str:
    nibabel.Nifti1Pair(VOXELS[0], AFFINE).to_filename(folder / "t1.img")
    return str(folder / "t1.hdr")


def npy(folder: Path) -> str:
    np.save(folder / "t1.npy", VOXELS)
    return str(folder / "t1.npy")


def mgz(folder: Path) -> str:
    nibabel.MGHImage(VOXELS[0], AFFINE).to_filename(folder / "t1.mgz")
    return str(folder / "t1.mgz")


def channels(folder: Path) -> VolumeSource:
    names = (folder / "t1.nii", folder / "t2.nii.gz")
    return ChannelSource([NiftiSource(write_nifti(name, VOXELS, AFFINE)) for name in names])


READERS: dict[str, Callable[[Path], VolumeSource]] = {
    "array": lambda folder: ArraySource(VOXELS, AFFINE),
    "nifti": lambda folder: NiftiSource(write_nifti(folder / "t1.nii", VOXELS, AFFINE)),
    "nifti gz": lambda folder: NiftiSource(write_nifti(folder / "t1.nii.gz", VOXELS, AFFINE)),
    "nifti pair": lambda folder: NiftiSource(pair(folder)),
    "nifti scaled": lambda folder: NiftiSource(scaled(folder, "t1.nii")),
    "nifti gz scaled": lambda folder: NiftiSource(scaled(folder, "t1.nii.gz")),
    "nifti big endian": lambda folder: NiftiSource(big_endian(folder, "t1.nii")),
    "nifti gz big endian": lambda folder: NiftiSource(big_endian(folder, "t1.nii.gz")),
    "npy": lambda folder: NpySource(npy(folder)),
    "mgz": lambda folder: NibabelSource(mgz(folder)),
    "user's": lambda folder: ReaderSource("any", read_it),
    "channels": channels,
}


@pytest.mark.parametrize("name", READERS)
def test_reader_keeps_the_contract(tmp_path: Path, name: str) -> None:
    check_reader(READERS[name](tmp_path))


class Broken(VolumeSource):
    """Breaks what is asked for, and keeps the rest."""

    reads_regions = True
    path = "broken"

    def __init__(self, fault: str) -> None:
        self.fault = fault
        shape = (5, 6, 8) if fault == "shape" else (5, 6, 7)
        self.shape = (2, *shape)
        self.space = Space((5, 6, 9) if fault == "space" else shape, AFFINE)
        self.dtype = np.dtype("f4" if fault == "dtype" else ">i2" if fault == "order" else "i2")

    def read(self, box: Box | None = None) -> Array:
        if self.fault == "again":
            return VOXELS + np.random.default_rng().integers(0, 1000, VOXELS.shape, np.int16)
        if box is None:
            return VOXELS
        if self.fault != "overhang":
            self.check_box(box)
        return VOXELS[(slice(None), *box.slices[:: -1 if self.fault == "axes" else 1])]

    def __reduce__(self) -> Any:
        if self.fault == "pickle":
            return (ArraySource, (VOXELS + 1, AFFINE, "broken"))
        return (Broken, (self.fault,))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shape", r"shape says \(2, 5, 6, 8\), read\(\) gives \(2, 5, 6, 7\)"),
        ("space", r"shape says \(2, 5, 6, 7\), space says \(5, 6, 9\)"),
        ("dtype", r"read\(\) has type int16, not float32"),
        ("order", "is not in native byte order"),
        ("axes", r"read\(Box.* has shape"),
        ("again", "holds other voxels than the volume does there"),
        ("pickle", r"a pickled copy's read\(\) holds other voxels"),
        ("overhang", "overhangs and was read; call check_box first"),
    ],
)
def test_contract_finds_the_fault(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_reader(Broken(fault))


def test_contract_passes_the_broken_reader_without_fault() -> None:
    check_reader(Broken("none"))
