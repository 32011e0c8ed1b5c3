"""NIfTI written a few slices at a time."""

from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import UnknownFormatError
from voxloom.io import write_nifti
from voxloom.io._nifti_slabs import NiftiSlabWriter


def test_slabs_in_any_order_make_the_file_that_is_written_at_once(tmp_path: Path) -> None:
    voxels = np.random.default_rng(0).integers(0, 99, (3, 4, 5, 7), dtype=np.int16)
    affine = np.diag([1.0, -2.0, 3.0, 1.0])
    writer = NiftiSlabWriter(tmp_path / "slabs.nii", (3, 4, 5, 7), np.int16, affine)
    for first, last in ((3, 7), (0, 3)):
        writer.write(first, voxels[..., first:last])
    assert not (tmp_path / "slabs.nii").exists()
    path = writer.finish()
    whole = write_nifti(tmp_path / "whole.nii", voxels, affine)
    assert Path(path).read_bytes() == Path(whole).read_bytes()


def test_what_is_abandoned_leaves_nothing(tmp_path: Path) -> None:
    writer = NiftiSlabWriter(tmp_path / "a.nii", (1, 4, 4, 4), np.float32)
    writer.abandon()
    assert list(tmp_path.iterdir()) == []


def test_other_names_and_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormatError, match=r"slabs are written to \.nii; write_nifti"):
        NiftiSlabWriter(tmp_path / "a.nii.gz", (1, 4, 4, 4), np.float32)
    with pytest.raises(UnknownFormatError, match=r"NIfTI has no type float16"):
        NiftiSlabWriter(tmp_path / "a.nii", (1, 4, 4, 4), np.float16)
    assert list(tmp_path.iterdir()) == []
