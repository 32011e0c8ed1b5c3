from pathlib import Path

import pytest

from voxloom._errors import UnknownFormatError
from voxloom.io import open_volume, write_nifti
from voxloom.io._remote import is_url, local_path


def test_a_url_is_told_from_a_path() -> None:
    assert is_url("https://host/t1.zarr")
    assert not is_url("C:/data/t1.zarr")
    assert not is_url("data/a:b.zarr")


def test_a_file_url_names_a_file_of_any_format(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a b.nii", [[[1, 2], [3, 4]]])
    assert local_path((tmp_path / "a b.nii").as_uri()) == path
    assert open_volume((tmp_path / "a b.nii").as_uri()).shape == (1, 1, 2, 2)


def test_a_scheme_that_nothing_reads_is_named() -> None:
    with pytest.raises(UnknownFormatError, match=r"read from s3://.*, not from ftp://; mount it"):
        open_volume("ftp://host/t1.zarr")


@pytest.mark.parametrize("name", ["t1.nii.gz", "t1.npy", "t1.nrrd", "t1.tif"])
def test_formats_that_are_not_chunked_are_refused_as_urls(name: str) -> None:
    with pytest.raises(UnknownFormatError, match=f"{name}: of URLs only Zarr, HDF5 and blosc2"):
        open_volume(f"https://host/{name}")


def test_the_case_of_a_scheme_does_not_matter() -> None:
    assert local_path("S3://Bucket/T1.zarr") == "s3://Bucket/T1.zarr"
    assert local_path("FILE:///data/T1.zarr") == "/data/T1.zarr"


@pytest.mark.parametrize("url", ["s3://", "https:///"])
def test_a_url_of_no_place_is_refused(url: str) -> None:
    with pytest.raises(UnknownFormatError, match=f"^{url}: a URL names a host or a bucket"):
        open_volume(url)
