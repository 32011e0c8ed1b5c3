from pathlib import Path

import pytest

from voxloom._errors import PatchError, VolumeNotFoundError, VolumeReadError
from voxloom.io import open_volume
from voxloom.io._failures import reading


def test_system_errors_name_the_file_that_was_opened() -> None:
    with (
        pytest.raises(VolumeReadError, match=r"t1\.nii: cannot be read, Permission denied$"),
        reading("t1.nii"),
    ):
        raise PermissionError(13, "Permission denied")


def test_missing_file_is_the_one_the_system_missed() -> None:
    with (
        pytest.raises(VolumeNotFoundError, match=r"t1\.img: there is no such file"),
        reading("t1.hdr"),
    ):
        raise FileNotFoundError(2, "No such file or directory", "t1.img")


@pytest.mark.parametrize("name", ["t1.nii.gz", "t1.nrrd", "t1.xyz"])
def test_a_file_that_is_no_volume_is_a_runtime_error_as_scripts_expect(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(b"no volume")
    with pytest.raises(RuntimeError, match=name):
        open_volume(tmp_path / name).read()


def test_our_own_errors_pass_unchanged() -> None:
    with pytest.raises(PatchError, match=r"^as it was$"), reading("t1.nii"):
        raise PatchError("as it was")


def test_programming_errors_are_not_hidden() -> None:
    with pytest.raises(AttributeError, match=r"^oops$"), reading("t1.nii"):
        raise AttributeError("oops")
