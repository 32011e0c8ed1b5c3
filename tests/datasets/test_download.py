import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from voxloom._errors import DownloadError
from voxloom.datasets._download import Downloader

CONTENT = bytes(range(256)) * 4096


def fetch(site: Any, folder: Path) -> bytes:
    site.files.setdefault("file.zip", CONTENT)
    target = folder / "file.zip"
    Downloader(folder / "file.zip.part")(f"{site.url}/file.zip", target)
    assert not (folder / "file.zip.part").exists()
    return target.read_bytes()


def test_a_file_comes_whole(site: Any, tmp_path: Path) -> None:
    assert fetch(site, tmp_path) == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["file.zip"]


def test_a_cut_connection_is_continued_where_it_broke(site: Any, tmp_path: Path) -> None:
    site.cuts = [len(CONTENT) // 2, 1000]
    assert fetch(site, tmp_path) == CONTENT
    half = len(CONTENT) // 2
    assert site.requests == [
        ("file.zip", None, 200),
        ("file.zip", f"bytes={half}-", 206),
        ("file.zip", f"bytes={half + 1000}-", 206),
    ]


def test_what_an_earlier_process_fetched_is_not_fetched_again(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(CONTENT[:5000])
    assert fetch(site, tmp_path) == CONTENT
    assert site.requests == [("file.zip", "bytes=5000-", 206)]


def test_a_server_without_ranges_sends_it_all_again(site: Any, tmp_path: Path) -> None:
    site.knows_ranges = False
    site.cuts = [1000]
    assert fetch(site, tmp_path) == CONTENT
    assert [status for *_, status in site.requests] == [200, 200]


def test_a_server_without_lengths_is_believed(site: Any, tmp_path: Path) -> None:
    site.announces_length = False
    assert fetch(site, tmp_path) == CONTENT


def test_two_versions_of_a_file_are_never_joined(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(b"old" * 100)
    (tmp_path / "file.zip.part.etag").write_text('"older"')
    assert fetch(site, tmp_path) == CONTENT
    assert site.requests == [("file.zip", "bytes=300-", 200)]


def test_a_partial_file_that_is_whole_is_taken(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(CONTENT)
    assert fetch(site, tmp_path) == CONTENT
    assert [status for *_, status in site.requests] == [416]


def test_a_partial_file_longer_than_the_file_is_thrown_away(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file.zip.part").write_bytes(CONTENT + b"more")
    assert fetch(site, tmp_path) == CONTENT
    assert [status for *_, status in site.requests] == [416, 200]


def test_a_missing_file_is_asked_for_once(site: Any, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"cannot fetch http.*nothing\.zip: .*404"):
        Downloader(tmp_path / "part")(f"{site.url}/nothing.zip", tmp_path / "nothing.zip")
    assert len(site.requests) == 1


def test_a_connection_that_always_breaks_ends_in_an_error(site: Any, tmp_path: Path) -> None:
    site.files["file.zip"] = CONTENT
    site.cuts = [10, 0, 0, 0]
    with pytest.raises(DownloadError, match="the connection broke after 10 bytes"):
        Downloader(tmp_path / "part")(f"{site.url}/file.zip", tmp_path / "file.zip")
    assert (tmp_path / "part").read_bytes() == CONTENT[:10]


def test_no_network_is_an_error_that_names_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.zip"
        with pytest.raises(DownloadError, match=f"cannot fetch {url}: .*refused"):
            Downloader(tmp_path / "part")(url, tmp_path / "file.zip")


def test_a_bar_shows_where_somebody_watches(
    site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(site, tmp_path)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("voxloom._progress._PATIENCE_S", 0.0)
    fetch(site, tmp_path)
    assert "file.zip: 100%" in capsys.readouterr().err
