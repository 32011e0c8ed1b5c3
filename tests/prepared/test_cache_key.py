from pathlib import Path

import numpy as np
import pytest

from voxloom.prepared import _cache_key
from voxloom.prepared._cache_key import ContentDigest, content_key, outline_key


@pytest.mark.parametrize("piece", [1, 7, 16, 40, 1000])
def test_a_name_does_not_depend_on_the_pieces_in_which_the_bytes_come(
    tmp_path: Path, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_cache_key, "_PIECE_BYTES", 16)
    content = [np.random.default_rng(n).bytes(100 - 4 * n) for n in range(2)]  # 96: whole pieces
    files = tuple(str(tmp_path / f"{n}.bin") for n in range(2))
    for file, held in zip(files, content, strict=True):
        Path(file).write_bytes(held)
    digest = ContentDigest(files, "facts")
    for held in content:
        for first in range(0, len(held), piece):
            digest.add(memoryview(held)[first : first + piece])
        digest.end_file()
    assert digest.key() == content_key(files, "facts")
    assert digest.key().startswith(outline_key(files, "facts"))


def test_another_byte_or_other_facts_are_another_name(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    names = set()
    for held, facts in ((b"abc", "facts"), (b"abd", "facts"), (b"abc", "others"), (b"ab", "facts")):
        path.write_bytes(held)
        names.add(content_key((str(path),), facts))
    assert len(names) == 4
