"""What the JSON of a Zarr array says, versions 2 and 3, checked before anything is allocated."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxloom._errors import UnknownFormatError
from voxloom.io._failures import damaged
from voxloom.io._library import decoding
from voxloom.io._shapes import check_numbers

_MOST_CHUNK_BYTES: Final = 2**31
_ABSENT_FILL: Final = 0


@dataclass(frozen=True, slots=True)
class ZarrArray:
    """An array in a Zarr store.

    Attributes
    ----------
    path : str
        Folder or URL of the array.
    version : int
        2 or 3.
    shape, chunks, shard : tuple of int
        Lengths of the array, of a chunk, and of what one key holds.
    is_sharded : bool
        Whether what one key holds ends with an index of its chunks, one or many.
    dtype : numpy.dtype
        As stored, byte order included.
    fill : float or int
        What chunks that are not there hold.
    codec : str or None
        ``'raw'``, ``'blosc'``, ``'zstd'``, or None for what only a library decodes.
    steps : frozenset of str
        The names of all that chunks are encoded by; filters of version 2 are called so.
    key_prefix, separator : str
        How the keys of chunks are made.
    axes : tuple of str, or None
        Names of the axes, lower case, where given.
    attributes : dict
        The user's attributes.
    stamp : str
        What the metadata said, as one name: another one where they are others.
    """

    path: str
    version: int
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    shard: tuple[int, ...]
    is_sharded: bool
    dtype: np.dtype[Any]
    fill: Any
    codec: str | None
    key_prefix: str
    separator: str
    axes: tuple[str, ...] | None
    attributes: dict[str, Any]
    steps: frozenset[str] = frozenset()
    stamp: str = ""

    @property
    def chunk_bytes(self) -> int:
        """Size of a decoded chunk."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def key(self, place: tuple[int, ...]) -> str:
        """Return the key of a chunk, or shard, from its place in the grid."""
        return self.key_prefix + self.separator.join(str(n) for n in place)


def parse_array(path: str, metadata: Mapping[str, Any], attributes: Mapping[str, Any]) -> ZarrArray:
    """Return the array that ``.zarray`` or ``zarr.json`` describes.

    Parameters
    ----------
    path : str
        Folder or URL of the array, for messages.
    metadata : mapping
        The decoded JSON.
    attributes : mapping
        Attributes from ``.zattrs``; version 3 has its own.

    Raises
    ------
    VolumeReadError
        If they contradict themselves.
    UnknownFormatError
        If the elements are not plain numbers, or pickled.
    """
    with decoding(path, "the Zarr reader"):
        version = metadata["zarr_format"]
        if version not in (2, 3):
            raise UnknownFormatError(f"{path}: expected Zarr 2 or 3, got {version!r}")
        array = _parse_3(path, metadata) if version == 3 else _parse_2(path, metadata, attributes)
        stamp = hashlib.blake2b(json.dumps(metadata, sort_keys=True).encode(), digest_size=16)
    _check(array)
    return replace(array, stamp=stamp.hexdigest())


def _check(array: ZarrArray) -> None:
    lengths = (*array.shape, *array.chunks, *array.shard)
    axes = {len(array.shape), len(array.chunks), len(array.shard)}
    if len(axes) != 1 or not array.shape or not all(type(n) is int and n > 0 for n in lengths):
        raise damaged(
            array.path, f"shape {array.shape} and chunks {array.chunks} are not those of an array"
        )
    if any("pickle" in step for step in array.steps):  # zarr-python would run what it says
        raise UnknownFormatError(f"{array.path}: its chunks are pickled; write it anew without")
    if math.prod(array.shape) * array.dtype.itemsize >= 2**62:
        raise damaged(array.path, f"shape {array.shape} is larger than any storage")
    if any(outer % inner for outer, inner in zip(array.shard, array.chunks, strict=True)):
        raise damaged(array.path, f"shards {array.shard} do not hold whole chunks {array.chunks}")
    if array.chunk_bytes > _MOST_CHUNK_BYTES:
        raise damaged(
            array.path,
            f"one chunk has {array.chunk_bytes} bytes, reading a voxel would take them all",
        )


def _parse_2(path: str, metadata: Mapping[str, Any], attributes: Mapping[str, Any]) -> ZarrArray:
    dtype = np.dtype(metadata["dtype"])
    check_numbers(path, dtype)
    chunks = tuple(metadata["chunks"])
    compressor = metadata.get("compressor")
    filters = metadata.get("filters") or ()
    plain = not filters and metadata.get("order", "C") == "C"
    codec = "raw" if compressor is None else _known(compressor["id"])
    steps = {f"{step['id']} filter" for step in filters}
    return ZarrArray(
        path=path,
        version=2,
        shape=tuple(metadata["shape"]),
        chunks=chunks,
        shard=chunks,
        is_sharded=False,
        dtype=dtype,
        fill=_fill(metadata.get("fill_value"), dtype),
        codec=codec if plain else None,
        key_prefix="",
        separator=str(metadata.get("dimension_separator", ".")),
        axes=_names(attributes.get("_ARRAY_DIMENSIONS")),
        attributes=dict(attributes),
        steps=frozenset(steps if compressor is None else steps | {compressor["id"]}),
    )


def _parse_3(path: str, metadata: Mapping[str, Any]) -> ZarrArray:
    dtype = np.dtype(metadata["data_type"])
    check_numbers(path, dtype)
    codecs = metadata["codecs"]
    shard = tuple(metadata["chunk_grid"]["configuration"]["chunk_shape"])
    chunks, supported = shard, True
    is_sharded = len(codecs) == 1 and codecs[0]["name"] == "sharding_indexed"
    if is_sharded:
        inner = codecs[0]["configuration"]
        chunks, codecs = tuple(inner["chunk_shape"]), inner["codecs"]
        names = [codec["name"] for codec in inner["index_codecs"]]
        supported = inner.get("index_location", "end") == "end" and names == ["bytes", "crc32c"]
    encoding = metadata["chunk_key_encoding"]
    options = encoding.get("configuration", {})
    default = encoding["name"] == "default"
    codec, little = _codec_3(codecs)
    return ZarrArray(
        path=path,
        version=3,
        shape=tuple(metadata["shape"]),
        chunks=chunks,
        shard=shard,
        is_sharded=is_sharded,
        dtype=dtype.newbyteorder("<" if little else ">"),
        fill=_fill(metadata.get("fill_value"), dtype),
        codec=codec if supported else None,
        key_prefix="c" + options.get("separator", "/") if default else "",
        separator=str(options.get("separator", "/" if default else ".")),
        axes=_names(metadata.get("dimension_names")),
        attributes=dict(metadata.get("attributes", {})),
        steps=frozenset(_steps_3(metadata["codecs"])),
    )


def _steps_3(codecs: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the names of codecs, and of those of the chunks and the index of a shard."""
    for codec in codecs:
        yield codec["name"]
        if codec["name"] == "sharding_indexed":
            inner = codec["configuration"]
            yield from _steps_3([*inner["codecs"], *inner["index_codecs"]])


def _codec_3(codecs: list[dict[str, Any]]) -> tuple[str | None, bool]:
    """Return the one codec after the byte order, and whether bytes are little endian."""
    if not codecs or codecs[0]["name"] != "bytes" or len(codecs) > 2:
        return None, True
    little = codecs[0].get("configuration", {}).get("endian", "little") == "little"
    return ("raw" if len(codecs) == 1 else _known(codecs[1]["name"])), little


def _known(name: str) -> str | None:
    return name if name in ("blosc", "zstd") else None


def _fill(value: Any, dtype: np.dtype[Any]) -> Any:
    if value is None:
        return _ABSENT_FILL
    if isinstance(value, str) and value.startswith("0x"):
        return np.array(int(value, 16), f"u{dtype.itemsize}").view(dtype).item()
    named = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
    return dtype.type(named.get(value, value) if isinstance(value, str) else value).item()


def _names(given: Any) -> tuple[str, ...] | None:
    if not given or not all(isinstance(name, str) for name in given):
        return None
    return tuple(name.lower() for name in given)
