import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pooch
import pytest

from voxloom._errors import DownloadError
from voxloom.datasets._cache import Archive, cache_folder, fetch

NAME = "mni_colin27_1998_nifti.zip"
MEMBERS = ("colin27_t1_tal_lin.nii", "colin27_t1_tal_lin_mask.nii")


def archive(site: Any, content: bytes, **more: Any) -> Archive:
    site.files[NAME] = content
    return Archive(f"{site.url}/{NAME}", MEMBERS, **more)


def test_members_are_unpacked_once_and_then_found(
    site: Any, cache: Path, colin_1998: bytes
) -> None:
    wanted = archive(site, colin_1998)
    files = fetch(wanted)
    assert fetch(wanted) == files
    assert len(site.requests) == 1
    assert sorted(files) == sorted(MEMBERS)
    assert sorted(path.name for path in (cache / NAME.removesuffix(".zip")).iterdir()) == list(
        MEMBERS
    )


def test_nothing_else_stays_in_the_cache(site: Any, cache: Path, colin_1998: bytes) -> None:
    fetch(archive(site, colin_1998))
    assert sorted(path.name for path in cache.iterdir()) == [
        f".{NAME}.lock",
        NAME.removesuffix(".zip"),
    ]


def test_an_archive_put_there_by_hand_is_used(site: Any, cache: Path, colin_1998: bytes) -> None:
    cache.mkdir()
    (cache / NAME).write_bytes(colin_1998)
    assert all(file.exists() for file in fetch(archive(site, b"")).values())
    assert site.requests == []


def test_a_truncated_archive_is_refused_kept_and_fetched_anew(
    site: Any, cache: Path, colin_1998: bytes
) -> None:
    wanted = archive(site, colin_1998[: len(colin_1998) // 2])
    with pytest.raises(DownloadError, match=rf"{NAME} came broken: .*Kept as .*{NAME}\.broken"):
        fetch(wanted)
    assert not (cache / NAME.removesuffix(".zip")).exists()
    assert fetch(archive(site, colin_1998)).keys() == set(MEMBERS)


def test_a_flipped_byte_in_a_member_is_seen(site: Any, cache: Path, colin_1998: bytes) -> None:
    flipped = bytearray(colin_1998)
    flipped[500] ^= 1
    with pytest.raises(DownloadError, match=r"came broken: Bad CRC-32 for file 'colin27_t1"):
        fetch(archive(site, bytes(flipped)))


def test_an_archive_without_a_member_says_what_it_holds(
    site: Any, cache: Path, colin_2008: bytes
) -> None:
    with pytest.raises(DownloadError, match=r"it lacks \['colin27_t1_tal_lin.nii'.*hires.nii"):
        fetch(archive(site, colin_2008))


def test_a_member_that_is_no_volume_is_refused(
    site: Any, cache: Path, colin_with_a_text_file: bytes
) -> None:
    site.files[NAME] = colin_with_a_text_file
    wanted = Archive(f"{site.url}/{NAME}", ("colin27_t1_tal_lin_headmask.nii",))
    with pytest.raises(DownloadError, match=r"came broken: .*colin27_t1_tal_lin_headmask\.nii"):
        fetch(wanted)


def test_a_known_hash_is_checked(site: Any, cache: Path, tmp_path: Path, colin_1998: bytes) -> None:
    with pytest.raises(DownloadError, match="another file than expected"):
        fetch(archive(site, colin_1998, known_hash="sha256:" + "0" * 64))
    local = tmp_path / "local.zip"
    local.write_bytes(colin_1998)
    assert fetch(archive(site, colin_1998, known_hash="sha256:" + pooch.file_hash(local)))


def test_without_network_the_error_says_how_to_place_the_file(site: Any, cache: Path) -> None:
    wanted = Archive(f"{site.url}/{NAME}", MEMBERS)
    with pytest.raises(DownloadError) as caught:
        fetch(wanted)
    message = str(caught.value)
    assert all(part in message for part in (wanted.url, str(cache), NAME, "VOXLOOM_CACHE", "404"))


def test_two_processes_at_once_fetch_once(site: Any, cache: Path, colin_1998: bytes) -> None:
    wanted = archive(site, colin_1998)
    script = (
        "import pickle, sys; from voxloom.datasets._cache import fetch; "
        "print(sorted(fetch(pickle.loads(bytes.fromhex(sys.argv[1])))))"
    )
    command = [sys.executable, "-c", script, pickle.dumps(wanted).hex()]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(2)]
    said = [run.communicate()[0].strip() for run in runs]
    assert said == [str(sorted(MEMBERS))] * 2
    assert len(site.requests) == 1


def test_the_users_cache_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VOXLOOM_CACHE", raising=False)
    assert cache_folder() == Path(pooch.os_cache("voxloom"))
