import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import VolumeReadError
from voxloom.io import Blosc2Source

blosc2 = pytest.importorskip("blosc2")
VOXELS = np.arange(4 * 5 * 6, dtype=np.float32).reshape(1, 4, 5, 6)


def test_what_nnunet_writes_is_read(tmp_path: Path) -> None:
    # One array (C, z, y, x) a file, chunked, lz4hc, as its 2.8 does.
    options = {"codec": blosc2.Codec.LZ4HC, "clevel": 8}
    path = str(tmp_path / "case.b2nd")
    blosc2.asarray(VOXELS, urlpath=path, chunks=(1, 4, 4, 4), blocks=(1, 2, 2, 2), cparams=options)
    source = Blosc2Source(path)
    np.testing.assert_array_equal(source.read(), VOXELS)
    np.testing.assert_array_equal(source.affine, np.eye(4))


def test_the_affine_is_among_the_metadata(tmp_path: Path, oblique: np.ndarray) -> None:
    array = blosc2.asarray(VOXELS, urlpath=str(tmp_path / "a.b2nd"))
    array.schunk.vlmeta["affine"] = oblique.tolist()
    np.testing.assert_array_equal(Blosc2Source(tmp_path / "a.b2nd").affine, oblique)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="counts threads by /proc")
def test_it_is_decoded_in_one_thread(tmp_path: Path) -> None:
    path = str(tmp_path / "a.b2nd")
    voxels = np.random.default_rng(0).random((1, 64, 64, 64))
    blosc2.asarray(voxels, urlpath=path, chunks=(1, 64, 64, 64), blocks=(1, 16, 16, 16))
    code = f"""
import blosc2
from pathlib import Path
from voxloom.io import Blosc2Source
def threads():
    return next(l for l in Path("/proc/self/status").read_text().splitlines() if "Threads" in l)
before = threads()
Blosc2Source({path!r}).read()
print(before == threads())
kept = blosc2.open({path!r}, dparams={{"nthreads": 3}})
kept[:]
print(before == threads())
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True
    )
    assert ran.stdout.split() == ["True", "False"]


def test_a_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.b2nd"
    blosc2.asarray(VOXELS, urlpath=str(path))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(VolumeReadError, match=r"a\.b2nd: says it has \d+ bytes, it has \d+"):
        Blosc2Source(path)


def test_a_shape_that_its_chunks_do_not_fill_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.b2nd"
    blosc2.asarray(np.ones((1, 20, 21, 22), np.float32), urlpath=str(path), chunks=(1, 8, 8, 8))
    content = bytearray(path.read_bytes())
    content[content.find((20).to_bytes(8, "big")) + 2] = 1
    path.write_bytes(content)
    with pytest.raises(VolumeReadError, match=r"a\.b2nd: .* chunks, it has 27"):
        Blosc2Source(path)
