"""libdeflate is only ever a faster way to the same bytes."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from voxloom.io import _libdeflate as fast
from voxloom.io import open_volume, write_nifti
from voxloom.io._libdeflate import decode_at_once

CONTENT = bytes(range(256)) * 1000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.gz"


def test_a_whole_file_is_decoded(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    assert decode_at_once(str(path), len(CONTENT)) == CONTENT


@pytest.mark.parametrize(
    "unusual",
    [
        gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:]),
        gzip.compress(CONTENT) + gzip.compress(b"more"),
        gzip.compress(CONTENT) + b"garbage",
        gzip.compress(CONTENT)[:-9],
        gzip.compress(CONTENT[:-1]),
        gzip.compress(CONTENT + b"x"),
        b"",
        b"no gzip",
    ],
)
def test_whatever_is_unusual_is_left_to_others(path: Path, unusual: bytes) -> None:
    path.write_bytes(unusual)
    assert decode_at_once(str(path), len(CONTENT)) is None


def test_a_volume_is_the_same_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voxels = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    file = write_nifti(tmp_path / "t1.nii.gz", voxels)
    with_it = open_volume(file).read()
    monkeypatch.setattr(fast, "_library", lambda: None)
    assert np.array_equal(open_volume(file).read(), with_it)
    assert with_it.flags.writeable
