"""What a prepared subject was made of, as one name: its content and what was done to it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom._errors import PreparedError
from voxloom.io import ArraySource
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


def transform_key(transform: Any) -> str:
    """Return a name for what a transform does: its type, its source text, and its state.

    What it calls elsewhere is not followed: prepare with ``overwrite=True`` after changing that.

    Raises
    ------
    PreparedError
        If its state cannot be pickled.
    """
    if transform is None:
        return "none"
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in _parts(transform):
        digest.update(part)
    return digest.hexdigest()


def _parts(transform: Any) -> Iterator[bytes]:
    if isinstance(transform, functools.partial):
        yield from _parts(transform.func)
        yield repr((transform.args, transform.keywords)).encode()
        return
    described = transform if inspect.isroutine(transform) else type(transform)
    yield f"{described.__module__}.{described.__qualname__}".encode()
    try:
        yield inspect.getsource(described).encode()
    except (OSError, TypeError):
        yield b"no source"
    if described is not transform:
        yield _state(transform)


def _state(transform: Any) -> bytes:
    try:
        return pickle.dumps(transform, protocol=5)  # only hashed, never stored or read
    except Exception as error:
        raise PreparedError(
            f"the transform {transform!r} cannot be pickled, so there is no telling whether it is "
            f"the same next time, {error}; make it a function of a module, or an object of plain "
            "attributes"
        ) from error


def _add_image(digest: Any, image: Image) -> None:
    kept = {key: image[key] for key in list(image)[5:]}
    facts = [type(image).__name__, image.type, image.space.affine.tolist(), to_json("image", kept)]
    digest.update(json.dumps(facts).encode())
    paths = image.path if isinstance(image.path, tuple) else (image.path,)
    if isinstance(image.source, ArraySource) or not all(
        isinstance(p, Path) and p.exists() for p in paths
    ):
        voxels = image.read()
        digest.update(f"{voxels.dtype} {voxels.shape}".encode())
        digest.update(np.ascontiguousarray(voxels).data)
        return
    digest.update(type(image.source).__name__.encode())
    for path in paths:
        for file in _files(Path(str(path))):
            digest.update(f"{''.join(file.suffixes)} {file.stat().st_size}".encode())
            _add_file(digest, file)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    twin = path.with_suffix(".img") if path.suffix == ".hdr" else path.with_suffix(".raw")
    return [path, twin] if twin.exists() and twin != path else [path]


def _add_file(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
