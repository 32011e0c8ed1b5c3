import io
import os
from pathlib import Path

import numpy as np
import pytest

from voxloom.io import _object_file
from voxloom.io._object_file import ObjectFile

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the ranges that the store is asked for."""
    ranges: list[tuple[int, int]] = []
    read_range = _object_file.read_range

    def read(url: str, start: int, length: int) -> bytes:
        ranges.append((start, length))
        return read_range(url, start, length)

    monkeypatch.setattr(_object_file, "read_range", read)
    return ranges


@pytest.fixture
def file(tmp_path: Path) -> ObjectFile:
    (tmp_path / "content").write_bytes(CONTENT)
    return ObjectFile((tmp_path / "content").as_uri(), len(CONTENT))


def test_it_reads_as_a_file_in_memory_does(file: ObjectFile) -> None:
    twin = io.BytesIO(CONTENT)
    rng = np.random.default_rng(1)
    for _ in range(200):
        place, count = int(rng.integers(len(CONTENT) + 9)), int(rng.integers(9_000))
        assert file.seek(place) == twin.seek(place)
        assert file.read(count) == twin.read(count)
    assert file.seek(-5, os.SEEK_END) == len(CONTENT) - 5
    assert file.read(99) == CONTENT[-5:]
    assert file.seek(-2, os.SEEK_CUR) == file.tell() == len(CONTENT) - 2


def test_small_reads_that_lie_together_are_one_request(
    file: ObjectFile, asked: list[tuple[int, int]]
) -> None:
    for place in range(0, 16_000, 500):
        file.seek(place)
        assert file.read(100) == CONTENT[place : place + 100]
    assert asked == [(0, 16_384)]


def test_a_large_read_asks_for_what_it_holds(
    file: ObjectFile, asked: list[tuple[int, int]]
) -> None:
    file.seek(12_345)
    assert file.read(100_000) == CONTENT[12_345:112_345]
    assert asked == [(12_345, 100_000)]


def test_one_mebibyte_of_blocks_is_held(file: ObjectFile) -> None:
    for place in range(0, len(CONTENT), 1000):
        file.seek(place)
        file.read(10)
    assert sum(map(len, file._blocks.values())) <= 2**20


def test_spans_that_were_fetched_are_not_asked_for_again(
    file: ObjectFile, asked: list[tuple[int, int]]
) -> None:
    spans = [(900_000, 50_000), (100, 20_000), (900_000, 50_000), (len(CONTENT), 9_000)]
    with file.fetched(spans):
        assert sorted(asked) == [(100, 20_000), (900_000, 50_000)]
        file.seek(900_100)
        assert file.read(40_000) == CONTENT[900_100:940_100]
        assert len(asked) == 2
    file.seek(900_100)
    file.read(40_000)
    assert asked[2:] == [(900_100, 40_000)]


def test_an_object_that_became_shorter_is_an_error(file: ObjectFile, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(CONTENT[:10_000])
    file.seek(8_000)
    with pytest.raises(EOFError, match="asked for 5000 bytes at 8000, got 2000"):
        file.read(5_000)
