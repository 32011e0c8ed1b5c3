import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import VolumeNotFoundError, VolumeReadError
from voxloom.io import Array
from voxloom.io._mapping import bring_in_pages, map_voxels

UINT16 = np.dtype("<u2")


def map_file(path: Path, file_bytes: int = 24) -> Array:
    return map_voxels(str(path), shape=(2, 5), dtype=UINT16, offset=4, file_bytes=file_bytes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "voxels"
    path.write_bytes(bytes(4) + np.arange(10, dtype=UINT16).tobytes())
    return path


def test_first_axis_is_fastest(path: Path) -> None:
    np.testing.assert_array_equal(map_file(path), np.arange(10).reshape(5, 2).T)


def test_voxels_are_read_only(path: Path) -> None:
    with pytest.raises(ValueError, match="read-only"):
        map_file(path)[0, 0] = 1


def test_view_outlives_the_file(path: Path) -> None:
    voxels = map_file(path)
    path.unlink()
    assert voxels.sum() == 45


def test_file_of_another_size_is_refused(path: Path) -> None:
    with pytest.raises(VolumeReadError, match=f"{re.escape(str(path))}: had 25 bytes .*, has 24"):
        map_file(path, file_bytes=25)


def test_file_that_went_away_is_named(path: Path) -> None:
    path.unlink()
    with pytest.raises(VolumeNotFoundError, match=re.escape(str(path))):
        map_file(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors by /proc")
@pytest.mark.parametrize(("limit", "most"), [(64, 16), (4096, 256)])
def test_mapped_files_leave_most_descriptors_to_others(
    tmp_path: Path, limit: int, most: int
) -> None:
    code = f"""
import resource
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, ({limit}, {limit}))
import numpy as np
from voxloom.io._mapping import map_voxels
before = len(list(Path("/proc/self/fd").iterdir()))
for n in range(300):
    path = Path({str(tmp_path)!r}, str(n))
    path.write_bytes(bytes(24))
    map_voxels(str(path), shape=(24,), dtype=np.dtype(np.uint8), offset=0, file_bytes=24)
print(len(list(Path("/proc/self/fd").iterdir())) - before)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False
    )
    assert ran.stdout == f"{most}\n", ran.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems read maps page by page")
def test_a_map_is_brought_in_whole(tmp_path: Path) -> None:
    path = tmp_path / "voxels"
    numbers = np.arange(3 * 2**20, dtype=UINT16)
    path.write_bytes(bytes(4) + numbers.tobytes())
    shape = 3 * 2**10, 2**10
    file_bytes = 4 + numbers.nbytes
    voxels = map_voxels(str(path), shape=shape, dtype=UINT16, offset=4, file_bytes=file_bytes)
    before = _mapped_kib(path)
    bring_in_pages(voxels)
    assert before < _mapped_kib(path) == -(-file_bytes // 4096) * 4
    assert (voxels.T.reshape(-1) == numbers).all()


def _mapped_kib(path: Path) -> int:
    """Return how much of a file this process has mapped and need not look for."""
    lines = iter(Path("/proc/self/smaps").read_text().splitlines())
    for line in lines:
        if line.endswith(f" {path}"):
            return next(int(fact.split()[1]) for fact in lines if fact.startswith("Rss:"))
    raise AssertionError("it is not mapped")


def test_what_cannot_be_brought_in_is_read_as_ever(path: Path) -> None:
    voxels = map_file(path)
    os.truncate(path, 0)
    bring_in_pages(voxels)
    path.write_bytes(bytes(4) + np.arange(10, dtype=UINT16).tobytes())
    np.testing.assert_array_equal(map_file(path), np.arange(10).reshape(5, 2).T)
