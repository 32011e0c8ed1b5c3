"""One subject into the store: whole, or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from isal import isal_zlib

from voxloom._errors import PreparedError, VoxloomError
from voxloom.geometry import Box
from voxloom.io import Array, chunk_for, write_reversed, write_zarr
from voxloom.patches import copy_box, save_index
from voxloom.prepared._metadata import to_json
from voxloom.prepared._settings import Settings
from voxloom.subjects import LABEL, Image, Subject

RECORD: Final = "subject.json"
UNFINISHED: Final = ".unfinished"
_PIECE_BYTES: Final = 1 << 20
_FORBIDDEN: Final = frozenset('/\\:*?"<>|\0')


def write_subject(subject: Subject, folder: Path, settings: Settings) -> dict[str, Any]:
    """Write the images of a subject and the record of it, then give the folder its name.

    Parameters
    ----------
    subject : Subject
        Transformed.
    folder : Path
        Where it will be. A folder that is there is replaced.
    settings : Settings
        How.

    Returns
    -------
    dict
        The record.

    Raises
    ------
    PreparedError
        If something of the subject cannot be kept, or the disk is full.
    """
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        return _write(subject, folder, unfinished, settings)
    except VoxloomError:
        raise
    except OSError as error:
        raise PreparedError(
            f"{folder.parent}: a subject cannot be written, {error.strerror or error}; free room, "
            "or choose another folder. What is done is kept, run it again to go on"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(subject: Subject, folder: Path, unfinished: Path, settings: Settings) -> dict[str, Any]:
    unfinished.mkdir(parents=True)
    items = [_write_item(name, subject[name], unfinished, settings) for name in subject]
    record = {
        "space_tolerance": subject.space_tolerance,
        "items": items,
        "files": checksums(unfinished),
    }
    (unfinished / RECORD).write_text(json.dumps(record, indent=1), encoding="utf-8")
    _give_name(unfinished, folder)
    return record


def is_ours(place: Path) -> bool:
    """Tell whether something among the subjects is one that was written here, or left half done."""
    key, _, rest = place.name.partition(".")
    is_key = len(key) == 32 and set(key) <= set("0123456789abcdef")
    has_record = not rest and (place / RECORD).is_file()
    return place.is_dir() and is_key and (has_record or place.name.endswith(UNFINISHED))


def checksums(folder: Path) -> dict[str, Any]:
    """Return size and CRC-32 of every file in a folder but its record, by name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name != RECORD)
    return {
        file.relative_to(folder).as_posix(): {
            "bytes": file.stat().st_size,
            "crc32": _checksum(file),
        }
        for file in files
    }


def _give_name(unfinished: Path, folder: Path) -> None:
    """Put a whole subject into its place, from which what was there is moved away at once.

    Equal subjects of a data set have one place, and several processes may come there together.
    """
    former = folder.with_name(f"{folder.name}.{os.getpid()}.former{UNFINISHED}")
    with suppress(FileNotFoundError):
        folder.replace(former)
    try:
        unfinished.replace(folder)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
    finally:
        shutil.rmtree(former, ignore_errors=True)


def _write_item(name: str, value: Any, folder: Path, settings: Settings) -> dict[str, Any]:
    if not isinstance(value, Image):
        return {"name": name, "value": to_json(name, value)}
    if _FORBIDDEN & set(name) or name.startswith("."):
        raise PreparedError(f"image {name!r} cannot be stored under that name; rename it")
    voxels = in_c_order(_stored_voxels(value))
    file = f"{name}{settings.suffix}"
    stored = voxels.view(np.uint8) if voxels.dtype == np.bool_ else voxels
    affine = value.space.affine
    if settings.layout == "nifti":
        write_reversed(folder / file, stored, affine)
    else:
        path = folder / file
        chunk = chunk_for(settings.patch_size, value.spatial_shape, voxels.itemsize)
        write_zarr(path, stored, affine, chunk=chunk, labels=value.type == LABEL)
    counts = save_index(folder / f"{name}.index.npz", voxels, value.type)
    return {
        "name": name,
        "file": file,
        "class": type(value).__name__,
        "type": value.type,
        "dtype": voxels.dtype.name,
        "shape": list(voxels.shape),
        "affine": affine.tolist(),
        "index": None if counts is None else f"{name}.index.npz",
        "counts": counts,
        "metadata": {key: to_json(f"{name}.{key}", value[key]) for key in list(value)[5:]},
    }


def _stored_voxels(image: Image) -> Array:
    """Return the voxels in the type of the file, where they come straight from it."""
    return image.array if image.is_loaded else image.source.read()


def in_c_order(voxels: Array) -> Array:
    """Return the voxels in C order, copied only where they lie otherwise."""
    if voxels.flags.c_contiguous:
        return voxels
    out: Array = np.empty(voxels.shape, voxels.dtype)
    _, w, h, d = voxels.shape
    copy_box(voxels, Box((0, 0, 0), (w, h, d)), out)
    return out


def _checksum(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            value = isal_zlib.crc32(piece, value)
    return f"{value:08x}"
