"""Small volumes on disk, and a way to damage their voxels but not their header."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxloom.io import write_nifti

Write = Callable[..., Path]


@pytest.fixture
def affine() -> np.ndarray[Any, Any]:
    return np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])


@pytest.fixture
def voxels() -> np.ndarray[Any, Any]:
    return np.arange(2 * 6 * 7 * 8, dtype=np.int16).reshape(2, 6, 7, 8)


@pytest.fixture
def write(tmp_path: Path, affine: np.ndarray[Any, Any], voxels: np.ndarray[Any, Any]) -> Write:
    """Return a function that writes a volume and returns its path."""

    def save(name: str = "t1.nii", array: Any = None, *, damaged: bool = False) -> Path:
        path = Path(write_nifti(tmp_path / name, voxels if array is None else array, affine))
        if damaged:
            path.write_bytes(path.read_bytes()[:-20])
        return path

    return save
