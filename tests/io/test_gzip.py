import gzip
import re
from itertools import pairwise
from pathlib import Path

import pytest

from voxloom._errors import VolumeReadError
from voxloom.io import _gzip
from voxloom.io._gzip import (
    check_length,
    decode_into,
    decoded_pieces,
    is_gzip,
    read_first_bytes,
)

CONTENT = bytes(range(256)) * 1000


def decode(path: Path, skip: int, count: int, *, to_the_end: bool = True) -> bytes:
    buffer = bytearray(count)
    decode_into(str(path), skip, memoryview(buffer), to_the_end=to_the_end)
    return bytes(buffer)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.gz"


@pytest.mark.parametrize("skip", [0, 1, 352, 70_000, len(CONTENT)])
def test_bytes_after_the_skipped_ones_fill_the_buffer(path: Path, skip: int) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    assert decode(path, skip, len(CONTENT) - skip) == CONTENT[skip:]


def test_members_follow_each_other(path: Path) -> None:
    cuts = [0, 10, 1000, 1000, len(CONTENT)]
    members = [gzip.compress(CONTENT[a:b]) for a, b in pairwise(cuts)]
    path.write_bytes(b"".join(members))
    assert decode(path, 352, len(CONTENT) - 352) == CONTENT[352:]


def test_zeros_behind_the_stream_are_padding(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT) + bytes(512))
    assert decode(path, 0, len(CONTENT)) == CONTENT


def test_garbage_behind_the_stream_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT) + b"garbage")
    message = f"{re.escape(str(path))}: cannot be decoded, .*; the file is damaged or incomplete"
    with pytest.raises(VolumeReadError, match=message):
        decode(path, 0, len(CONTENT))


def test_wrong_checksum_is_refused(path: Path) -> None:
    content = bytearray(gzip.compress(CONTENT))
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(VolumeReadError, match=f"{re.escape(str(path))}: .*CRC check failed"):
        decode(path, 0, len(CONTENT))
    assert decode(path, 0, 1000, to_the_end=False) == CONTENT[:1000]


def test_stream_that_is_cut_is_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT)[:-100])
    with pytest.raises(VolumeReadError, match="Compressed file ended before the end-of-stream"):
        decode(path, 0, len(CONTENT))


@pytest.mark.parametrize("skip", [0, 1000, len(CONTENT), 10 * len(CONTENT)])
def test_too_few_bytes_are_refused(path: Path, skip: int) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    count = len(CONTENT) + 1
    message = f"expected {skip + count} bytes once decompressed, got {len(CONTENT)};"
    with pytest.raises(VolumeReadError, match=message):
        decode(path, skip, count)


def test_too_many_bytes_are_refused(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    with pytest.raises(VolumeReadError, match="expected 1352 bytes once decompressed, got more"):
        decode(path, 352, 1000)


def test_first_bytes_are_decoded_where_the_file_is_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    assert is_gzip(str(path))
    assert read_first_bytes(str(path), 540) == CONTENT[:540]
    path.write_bytes(CONTENT[:100])
    assert not is_gzip(str(path))
    assert read_first_bytes(str(path), 540) == CONTENT[:100]


def test_pieces_are_the_whole_content_in_memory_that_is_used_again(path: Path) -> None:
    content = CONTENT * 5
    path.write_bytes(gzip.compress(content[:999]) + gzip.compress(content[999:]))
    pieces = decoded_pieces(str(path), len(content))
    assert b"".join(map(bytes, pieces)) == content


@pytest.mark.parametrize("difference", [-1, 1])
def test_pieces_of_another_sum_are_refused(path: Path, difference: int) -> None:
    path.write_bytes(gzip.compress(CONTENT))
    count = len(CONTENT) + difference
    got = "more" if difference < 0 else len(CONTENT)
    message = f"{re.escape(str(path))}: expected {count} bytes once decompressed, got {got}"
    with pytest.raises(VolumeReadError, match=message):
        list(decoded_pieces(str(path), count))


def test_pieces_of_a_wrong_checksum_are_refused(path: Path) -> None:
    content = bytearray(gzip.compress(CONTENT))
    content[-8] ^= 1
    path.write_bytes(content)
    with pytest.raises(VolumeReadError, match="CRC check failed"):
        list(decoded_pieces(str(path), len(CONTENT)))


@pytest.mark.parametrize("padding", [0, 1, 600_000])
def test_whoever_watches_is_shown_the_whole_file_once(path: Path, padding: int) -> None:
    path.write_bytes(gzip.compress(CONTENT[:99]) + gzip.compress(CONTENT[99:]) + bytes(padding))
    shown = bytearray()
    buffer = memoryview(bytearray(len(CONTENT)))
    decode_into(str(path), 0, buffer, to_the_end=True, watch=shown.extend)
    assert bytes(buffer) == CONTENT
    assert bytes(shown) == path.read_bytes()


@pytest.mark.parametrize("cut", [0, 1000])
@pytest.mark.parametrize("padding", [0, 512])
def test_a_length_that_is_right_is_found_so_whatever_the_file_is_made_of(
    path: Path, cut: int, padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gzip, "_LARGE_BYTES", 0)
    members = (gzip.compress(part) for part in (CONTENT[:cut], CONTENT[cut:]) if part)
    path.write_bytes(b"".join(members) + bytes(padding))
    check_length(str(path), len(CONTENT))
    with pytest.raises(VolumeReadError, match=f"{re.escape(str(path))}: expected .*, got "):
        check_length(str(path), len(CONTENT) + 1)


def test_the_length_of_one_member_is_read_from_its_last_bytes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_gzip, "_LARGE_BYTES", 0)
    monkeypatch.delattr(_gzip, "_GzipReader")
    path.write_bytes(gzip.compress(CONTENT))
    check_length(str(path), len(CONTENT))
