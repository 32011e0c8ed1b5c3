"""Volumes written by nibabel, which reads and writes NIfTI independently of us."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

Save = Callable[..., str]


def rotation(x: float, y: float, z: float) -> np.ndarray[Any, Any]:
    (a, b, c), (d, e, f) = np.cos([x, y, z]), np.sin([x, y, z])
    about_x = np.array([[1, 0, 0], [0, a, -d], [0, d, a]])
    about_y = np.array([[b, 0, e], [0, 1, 0], [-e, 0, b]])
    about_z = np.array([[c, -f, 0], [f, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def affine_of(
    angles: tuple[float, float, float] = (0.3, -0.2, 0.9),
    spacing: tuple[float, float, float] = (0.7, -1.25, 3.0),
) -> np.ndarray[Any, Any]:
    affine = np.eye(4)
    affine[:3, :3] = rotation(*angles) * spacing
    affine[:3, 3] = (-90.5, 126.25, -72)
    return affine


@pytest.fixture
def oblique() -> np.ndarray[Any, Any]:
    return affine_of()


@pytest.fixture
def voxels() -> np.ndarray[Any, Any]:
    return np.arange(5 * 6 * 7, dtype=np.int16).reshape(5, 6, 7) - 100


@pytest.fixture
def save(tmp_path: Path, oblique: np.ndarray[Any, Any]) -> Save:
    """Return a function that writes an array with nibabel and returns the path."""

    def write(
        array: np.ndarray[Any, Any],
        name: str = "t1.nii",
        image_class: Any = nibabel.Nifti1Image,
        affine: Any = None,
        endianness: str = "<",
        change: Callable[[Any], None] | None = None,
    ) -> str:
        header = image_class.header_class(endianness=endianness)
        header.set_data_dtype(array.dtype)
        image = image_class(array, oblique if affine is None else affine, header)
        if change is not None:
            change(image.header)
        path = tmp_path / name
        image.to_filename(path)
        return str(path)

    return write
