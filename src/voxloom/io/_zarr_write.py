"""Writing OME-Zarr 0.5 with shards, for reading by region."""

from __future__ import annotations

import itertools
import json
import math
import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._errors import UnknownFormatError
from voxloom.geometry import Affine, Shape3, as_affine, spacing_of
from voxloom.io._shapes import check_numbers, four_axes
from voxloom.io._source import Array, Shape4
from voxloom.io._zarr_chunks import codecs, crc32c

_SHARD_BYTES: Final = 32 << 20
_BLOSC_LEVEL: Final = 5
_ZSTD_LEVEL: Final = 3
_BYTE_SHUFFLE: Final = 1
_ABSENT: Final = (2**64 - 1).to_bytes(8, "little") * 2
_PATCH_PER_CHUNK: Final = 3
_LONGEST: Final = 64
_LEAST_CHUNK_BYTES: Final = 32 << 10
_MOST_CHUNK_BYTES: Final = 128 << 10


def write_zarr(
    path: str | os.PathLike[str],
    array: npt.ArrayLike,
    affine: npt.ArrayLike | None = None,
    *,
    chunk: int | Shape3 = 32,
    labels: bool = False,
) -> str:
    """Write a volume as OME-Zarr 0.5: sharded, lz4 with byte shuffle, or Zstandard for labels.

    The affine is kept whole in the attribute ``voxloom``; OME's own metadata hold its scale and
    origin, as they have no place for a rotation. A folder is not written in one step: write it
    beside its place and rename it.

    Parameters
    ----------
    path : str or path-like
        A folder that is not there yet.
    array : (C, W, H, D), (W, H, D) or (W, H) array
        Voxels, written in their own type.
    affine : (4, 4) array, optional
        Voxel indices to world, RAS+, mm; the identity if None.
    chunk : int or (w, h, d)
        Length of a chunk along each axis, in voxels; see `chunk_for`.
    labels : bool
        Whether the voxels are labels.

    Raises
    ------
    UnknownFormatError
        If Zarr has no such type.
    MissingExtraError
        If numcodecs is not installed.
    """
    name = os.fspath(path)
    voxels = np.asarray(array)
    check_numbers(name, voxels.dtype)
    if voxels.dtype.kind == "f" and voxels.dtype.itemsize not in (2, 4, 8):
        raise UnknownFormatError(f"{name}: Zarr has no type {voxels.dtype}")
    voxels = voxels.reshape(four_axes(name, voxels.shape))
    voxels = voxels.astype(voxels.dtype.newbyteorder("<"), copy=False)
    chunks = (1, *(chunk if isinstance(chunk, tuple) else (chunk, chunk, chunk)))
    shard = _shard(voxels.shape, chunks, voxels.dtype.itemsize)
    folder = Path(name)
    folder.mkdir()
    _write_json(folder / "zarr.json", _group(as_affine(affine)))
    (folder / "0").mkdir()
    _write_json(folder / "0" / "zarr.json", _array(voxels, chunks, shard, labels))
    grid = [range(-(-n // s)) for n, s in zip(voxels.shape, shard, strict=True)]
    for place in itertools.product(*grid):
        packed = _pack_shard(voxels, place, chunks, shard, labels)
        if packed is not None:
            file = folder.joinpath("0", "c", *map(str, place))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(packed)
    return name


def chunk_for(
    patch_size: Shape3 | None, spatial_shape: Shape3 | None = None, itemsize: int = 2
) -> Shape3:
    """Return lengths of chunks that suit a patch size and a volume, each a power of two.

    A patch that is three chunks long reads some twice its own voxels, in pieces that are still
    large enough to be decoded at full speed: chunks hold 32 to 128 KB. They are not longer than a
    flat volume needs.

    Parameters
    ----------
    patch_size : (w, h, d) tuple of int, or None
        Size of the patches that will be read; of about 96 voxels if not known.
    spatial_shape : (W, H, D) tuple of int, optional
        Shape of the volume.
    itemsize : int
        Bytes a voxel.

    Examples
    --------
    >>> chunk_for(None), chunk_for((96, 96, 96)), chunk_for((32, 32, 32))
    ((32, 32, 32), (32, 32, 32), (32, 32, 16))
    >>> chunk_for((256, 256, 16)), chunk_for((96, 96, 96), (512, 512, 12))
    ((64, 64, 8), (32, 32, 16))
    """
    patch = patch_size or (96, 96, 96)
    most = [_LONGEST] * 3
    if spatial_shape is not None:
        most = [min(_LONGEST, 1 << (n - 1).bit_length()) for n in spatial_shape]
    lengths = [
        min(_power_of_two(n / _PATCH_PER_CHUNK), m) for n, m in zip(patch, most, strict=True)
    ]

    def share(axis: int) -> float:
        return lengths[axis] / patch[axis]

    while math.prod(lengths) * itemsize < _LEAST_CHUNK_BYTES and lengths != most:
        lengths[min((axis for axis in range(3) if lengths[axis] < most[axis]), key=share)] *= 2
    while math.prod(lengths) * itemsize > _MOST_CHUNK_BYTES:
        lengths[max((axis for axis in range(3) if lengths[axis] > 1), key=share)] //= 2
    w, h, d = lengths
    return w, h, d


def _power_of_two(length: float) -> int:
    """Return the nearest power of two from 8 to 64."""
    return int(2 ** min(max(round(math.log2(max(length, 1))), 3), 6))


def _shard(shape: Shape4, chunks: Shape4, itemsize: int) -> Shape4:
    longest = int((_SHARD_BYTES / itemsize) ** (1 / 3))
    _, w, h, d = (
        min(max(longest // chunk, 1), -(-n // chunk)) * chunk
        for n, chunk in zip(shape, chunks, strict=True)
    )
    return 1, w, h, d


def _pack_shard(
    voxels: Array, place: tuple[int, ...], chunks: Shape4, shard: Shape4, labels: bool
) -> bytes | None:
    """Return the bytes of a shard, or None where every voxel is zero."""
    pieces: list[bytes] = []
    index, offset = b"", 0
    counts = [range(s // c) for s, c in zip(shard, chunks, strict=True)]
    for inner in itertools.product(*counts):
        corner = [p * s + i * c for p, s, i, c in zip(place, shard, inner, chunks, strict=True)]
        cut = voxels[tuple(slice(a, a + c) for a, c in zip(corner, chunks, strict=True))]
        if not cut.any():
            index += _ABSENT
            continue
        packed = _pack(_whole(cut, chunks), labels)
        pieces.append(packed)
        index += offset.to_bytes(8, "little") + len(packed).to_bytes(8, "little")
        offset += len(packed)
    if not pieces:
        return None
    return b"".join((*pieces, index, crc32c(index).to_bytes(4, "little")))


def _whole(cut: Array, chunks: Shape4) -> Array:
    if cut.shape == chunks:
        return np.ascontiguousarray(cut)
    whole: Array = np.zeros(chunks, cut.dtype)
    whole[tuple(slice(n) for n in cut.shape)] = cut
    return whole


def _pack(chunk: Array, labels: bool) -> bytes:
    if labels:
        return bytes(codecs().zstd.compress(chunk, _ZSTD_LEVEL))
    return bytes(codecs().blosc.compress(chunk, b"lz4", _BLOSC_LEVEL, _BYTE_SHUFFLE))


def _group(affine: Affine) -> dict[str, Any]:
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "millimeter"} for name in "xyz"]
    changes = [
        {"type": "scale", "scale": [1.0, *spacing_of(affine)]},
        {"type": "translation", "translation": [0.0, *affine[:3, 3].tolist()]},
    ]
    datasets = [{"path": "0", "coordinateTransformations": changes}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    attributes = {"ome": ome, "voxloom": {"affine": affine.tolist()}}
    return {"zarr_format": 3, "node_type": "group", "attributes": attributes}


def _array(voxels: Array, chunks: Shape4, shard: Shape4, labels: bool) -> dict[str, Any]:
    blosc = {
        "cname": "lz4",
        "clevel": _BLOSC_LEVEL,
        "shuffle": "shuffle",
        "typesize": voxels.dtype.itemsize,
        "blocksize": 0,
    }
    zstd = {"level": _ZSTD_LEVEL, "checksum": False}
    packing = {"name": "zstd", "configuration": zstd} if labels else None
    plain = {"name": "bytes", "configuration": {"endian": "little"}}
    inner = {
        "chunk_shape": chunks,
        "codecs": [plain, packing or {"name": "blosc", "configuration": blosc}],
        "index_codecs": [plain, {"name": "crc32c"}],
        "index_location": "end",
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": voxels.shape,
        "data_type": voxels.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": False if voxels.dtype.kind == "b" else 0,
        "codecs": [{"name": "sharding_indexed", "configuration": inner}],
        "dimension_names": ["c", "x", "y", "z"],
        "attributes": {},
    }


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")
