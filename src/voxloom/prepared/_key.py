"""What a prepared subject was made of, as one name: its content and what was done to it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom.io import Blosc2Source, NpySource, VolumeSource, ZarrSource, files_of
from voxloom.prepared._metadata import to_json
from voxloom.subjects import Image, Subject

_VERSION: Final = 2  # another for what is written in another way
_DIGEST_BYTES: Final = 16
_PIECE_BYTES: Final = 1 << 20


def subject_key(subject: Subject, settings: str) -> str:
    """Return a name of 32 hexadecimal digits for what a subject holds and `settings`.

    Files are told by their bytes, not by their names or dates.

    Raises
    ------
    PreparedError
        If metadata cannot be kept.
    """
    digest = hashlib.blake2b(f"{_VERSION} {settings}".encode(), digest_size=_DIGEST_BYTES)
    for name, value in subject.items():
        digest.update(f"\0{name}\0".encode())
        if isinstance(value, Image):
            _add_image(digest, value)
        else:
            digest.update(json.dumps(to_json(name, value)).encode())
    return digest.hexdigest()


def _add_image(digest: Any, image: Image) -> None:
    kept = {key: image[key] for key in list(image)[5:]}
    facts = [type(image).__name__, image.type, image.space.affine.tolist(), to_json("image", kept)]
    digest.update(json.dumps(facts).encode())
    root, files = _files(image.source)
    if not files:
        voxels = image.read()
        digest.update(f"{voxels.dtype} {voxels.shape}".encode())
        digest.update(np.ascontiguousarray(voxels).data)
        return
    digest.update(f"{type(image.source).__name__} {image.source.shape}".encode())
    for file in files:
        name = "".join(file.suffixes) if root is None else file.relative_to(root).as_posix()
        digest.update(f"{name} {file.stat().st_size}".encode())
        _add_file(digest, file)


def _files(source: VolumeSource) -> tuple[Path | None, list[Path]]:
    """Return the files that a source reads, and the folder in which their names count.

    There are none where that cannot be told, or where a file holds other volumes too.
    """
    if isinstance(source, ZarrSource):
        root = Path(source.array.path)
        return root, sorted(file for file in root.rglob("*") if file.is_file())
    if isinstance(source, NpySource | Blosc2Source):
        return None, [Path(source.path)]
    return None, [Path(file) for file in files_of(source)]


def _add_file(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
