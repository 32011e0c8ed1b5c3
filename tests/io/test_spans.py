from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import VolumeReadError
from voxloom.io import _spans
from voxloom.io._spans import is_on_network, read_spans

VOXELS = np.arange(4 * 5 * 6 * 2, dtype=">i2").reshape(4, 5, 6, 2)
PLACES = (slice(1, 3), slice(2, 5), slice(0, 4), slice(1, 2))


def write(path: Path) -> str:
    path.write_bytes(b"head" + VOXELS.tobytes(order="F"))
    return str(path)


def test_a_box_is_that_of_the_array(tmp_path: Path) -> None:
    path = write(tmp_path / "t1.raw")
    box = read_spans(path, PLACES, shape=VOXELS.shape, dtype=VOXELS.dtype, offset=4)
    np.testing.assert_array_equal(box, VOXELS[PLACES])


def test_a_file_that_was_cut_is_an_error_and_no_signal(tmp_path: Path) -> None:
    path = write(tmp_path / "t1.raw")
    Path(path).write_bytes(Path(path).read_bytes()[:300])
    with pytest.raises(VolumeReadError, match=r"t1\.raw: ends before byte"):
        read_spans(path, PLACES, shape=VOXELS.shape, dtype=VOXELS.dtype, offset=4)


@pytest.mark.parametrize(("kind", "remote"), [("nfs4", True), ("cifs", True), ("ext4", False)])
def test_the_closest_mount_says_what_a_folder_is(
    kind: str, remote: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    near = str(tmp_path / "my data").replace(" ", "\\040")
    table.write_text(f"1 0 0:1 / / rw - tmpfs a rw\n2 1 0:2 / {near} rw shared:1 - {kind} b rw\n")
    monkeypatch.setattr(_spans, "_MOUNTS", str(table))
    _spans._is_network_folder.cache_clear()
    assert is_on_network(str(tmp_path / "my data" / "sub" / "t1.nii")) is remote
    assert not is_on_network(str(tmp_path / "my data 2" / "t1.nii"))
    _spans._is_network_folder.cache_clear()


def test_where_mounts_are_not_listed_files_count_as_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_spans, "_MOUNTS", "/there/is/none")
    _spans._is_network_folder.cache_clear()
    assert not is_on_network("/data/t1.nii")
    _spans._is_network_folder.cache_clear()


@pytest.mark.parametrize(
    ("path", "folder"), [("/t1.nii", "/"), ("/data/t1.nii", "/data"), ("t1.nii", str(Path.cwd()))]
)
def test_it_is_the_folder_of_a_file_that_is_looked_up(
    path: str, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(_spans, "_is_network_folder", asked.append)
    is_on_network(path)
    assert asked == [folder]
