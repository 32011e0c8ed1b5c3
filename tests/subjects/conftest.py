"""Small volumes on disk, and a way to damage their voxels but not their header."""

import json
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


@pytest.fixture
def volume(tmp_path: Path) -> Write:
    """Return a function that writes a volume of one value anywhere below `tmp_path`."""

    def save(name: str, value: int = 1, shift_mm: float = 0.0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        made = path.with_name("made.nii.gz" if name.lower().endswith(".gz") else "made.nii")
        affine = np.eye(4)
        affine[0, 3] = shift_mm
        write_nifti(made, np.full((4, 5, 6), value, dtype=np.int16), affine)
        return made.rename(path)

    return save


@pytest.fixture
def describe(tmp_path: Path) -> Write:
    """Return a function that writes a ``dataset.json`` below `tmp_path`."""

    def save(folder: str, **content: Any) -> Path:
        path = tmp_path / folder / "dataset.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return path

    return save
