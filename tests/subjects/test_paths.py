"""Paths of images."""

import pickle
from pathlib import Path

import pytest

from voxloom.subjects._paths import PathReader, Url, as_paths, path_of, stem_of, text_of


@pytest.mark.parametrize(
    ("name", "stem"), [("t1.nii.gz", "t1"), ("t1", "t1"), ("a.b/sub-1_t1.mgz", "sub-1_t1")]
)
def test_a_stem_ends_at_the_first_dot_of_the_name(name: str, stem: str) -> None:
    assert stem_of(Path(name)) == stem


def test_a_home_folder_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "t1.nii").touch()
    assert as_paths("~/t1.nii", verify=True) == tmp_path / "t1.nii"


def test_text_has_the_form_of_the_paths() -> None:
    assert text_of(None) == ""
    assert text_of(Path("a.nii")) == "a.nii"
    assert text_of((Path("a.nii"), Path("b.nii")), stem_of) == ["a", "b"]


def read_name(path: Path) -> str:
    return path.name


def test_a_reader_of_the_user_gets_a_path_also_in_another_process() -> None:
    reader = pickle.loads(pickle.dumps(PathReader(read_name)))
    assert reader("folder/t1.nii") == "t1.nii"
    assert reader.__name__ == "read_name"


def test_a_url_stays_as_it_is_and_is_not_asked_for() -> None:
    url = as_paths("s3://bucket/sub 1/t1.ome.zarr/", verify=True)
    assert url == "s3://bucket/sub 1/t1.ome.zarr/"
    assert isinstance(url, Url)
    assert (url.name, text_of(url), stem_of(url)) == ("t1.ome.zarr", str(url), "t1")
    assert pickle.loads(pickle.dumps(url)) == url


def test_a_file_url_is_a_path() -> None:
    assert path_of("file:///data/a%20b.zarr") == Path("/data/a b.zarr")


def test_a_reader_of_ones_own_gets_the_url_as_text() -> None:
    assert PathReader(lambda path: path)("https://host/a.xyz") == "https://host/a.xyz"
