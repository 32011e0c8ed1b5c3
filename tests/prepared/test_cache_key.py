from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxloom.io import ItkSource, NiftiSource
from voxloom.prepared import _cache_key
from voxloom.prepared._cache_key import ContentDigest, content_key, files_of, outline_key


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


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("a.mhd", ["a.mhd", "a.zraw"]),
        ("a.nhdr", ["a.nhdr", "a.raw.gz"]),
        ("a.nrrd", ["a.nrrd"]),
        ("a.mha", ["a.mha"]),
    ],
)
def test_a_header_and_the_voxels_beside_it_are_the_files_of_a_volume(
    tmp_path: Path, name: str, files: list[str]
) -> None:
    itk = pytest.importorskip("SimpleITK")
    itk.WriteImage(itk.Image(4, 5, 6, itk.sitkInt16), str(tmp_path / name), True)
    assert files_of(ItkSource(tmp_path / name)) == tuple(str(tmp_path / file) for file in files)


def test_pairs_and_headers_that_name_several_files_cannot_be_told(tmp_path: Path) -> None:
    for name in ("a.img", "a.img.gz"):
        nibabel.Nifti1Pair(np.ones((4, 5, 6), np.int16), np.eye(4)).to_filename(tmp_path / name)
        assert files_of(NiftiSource(tmp_path / name)) == ()
    (tmp_path / "a.mhd").write_text(
        "NDims = 3\nDimSize = 4 5 6\nElementType = MET_SHORT\nElementDataFile = %d.raw 1 6 1\n"
    )
    assert files_of(ItkSource(tmp_path / "a.mhd")) == ()
