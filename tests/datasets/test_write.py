from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxloom.datasets import Phantom, write_phantoms

SHAPE = (16, 18, 12)


def test_files_hold_what_the_phantoms_hold(tmp_path: Path) -> None:
    for seed, subject in enumerate(write_phantoms(tmp_path / "new", 2, SHAPE, seed=7), start=7):
        phantom = Phantom(SHAPE, seed=seed)
        for name in ("t1", "seg"):
            image = nibabel.load(subject[name].path)
            np.testing.assert_array_equal(np.asarray(image.dataobj), phantom[name].array[0])
            np.testing.assert_array_equal(image.affine, phantom[name].affine)
            assert image.get_data_dtype() == phantom[name].dtype


def test_files_that_are_there_are_kept(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 1, SHAPE)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    names = [subject.name for subject in write_phantoms(tmp_path, 2, SHAPE)]
    assert names == ["phantom_000", "phantom_001"]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(tmp_path.iterdir())) == 4


def test_a_shape_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="three integers of at least 4"):
        write_phantoms(tmp_path, 1, (1, 2, 3))
