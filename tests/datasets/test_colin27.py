from pathlib import Path
from typing import Any

import pytest

from voxloom._errors import DownloadError
from voxloom.datasets import Colin27


def test_version_1998_has_an_image_and_two_masks(site: Any, cache: Path, colin_1998: bytes) -> None:
    site.files["mni_colin27_1998_nifti.zip"] = colin_1998
    subject = Colin27(base_url=site.url)
    assert {name: image.type for name, image in subject.items()} == {
        "t1": "intensity",
        "head": "label",
        "brain": "label",
    }
    assert [int(subject[name].array.max()) for name in ("t1", "head", "brain")] == [1, 2, 3]


def test_version_2008_has_three_contrasts_and_classes(
    site: Any, cache: Path, colin_2008: bytes
) -> None:
    site.files["mni_colin27_2008_nifti.zip"] = colin_2008
    subject = Colin27(2008, base_url=site.url + "/")
    assert {name: image.type for name, image in subject.items()} == {
        "t1": "intensity",
        "t2": "intensity",
        "pd": "intensity",
        "cls": "label",
    }
    assert not subject.t1.is_loaded


def test_an_unknown_version_is_refused_before_anything_is_fetched(site: Any, cache: Path) -> None:
    with pytest.raises(ValueError, match="the versions 1998 and 2008, got 2009"):
        Colin27(2009, base_url=site.url)
    assert site.requests == []


def test_a_site_that_lacks_it_is_an_oserror(site: Any, cache: Path) -> None:
    with pytest.raises(DownloadError, match=r"mni_colin27_1998_nifti\.zip: .*404"):
        Colin27(base_url=site.url)
    assert issubclass(DownloadError, OSError)
