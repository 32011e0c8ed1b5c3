"""Zarr arrays and keys through tensorstore, on disk and on remote stores."""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom._extras import import_extra
from voxloom.io._remote import MOST_RETRIES, RETRY_FIRST_S, RETRY_LONGEST_S, STALLED_S
from voxloom.io._source import Array

_CACHE_BYTES: Final = 32 << 20
"""Holds the indices of shards, which would otherwise be read again for every box."""

_OPEN_ARRAYS: Final = 256
_USED_IN: Final[set[int]] = set()
_STEPS: Final = {
    2: frozenset({"blosc", "bz2", "gzip", "zlib", "zstd"}),
    3: frozenset({"blosc", "bytes", "crc32c", "gzip", "sharding_indexed", "transpose", "zstd"}),
}
_RETRIES: Final = {
    "max_retries": MOST_RETRIES,
    "initial_delay": f"{RETRY_FIRST_S}s",
    "max_delay": f"{RETRY_LONGEST_S}s",
}


def read_key(url: str, key: str) -> bytes | None:
    """Return what a store holds under `key`, or None where it has no such key."""
    tensorstore = _tensorstore()
    store = tensorstore.KvStore.open(
        {**_kvstore(url), "path": _kvstore(url)["path"] + key}, context=_context(os.getpid())
    ).result()
    found = store.read("").result()
    return bytes(found.value) if found.state == "value" else None


def is_usable() -> bool:
    """Tell whether it is installed, and was not used in the process that this one was forked of.

    Its threads are not there then, and it ends the process.
    """
    return _is_installed() and _USED_IN.issubset({os.getpid()})


def decodes(version: int, steps: frozenset[str]) -> bool:
    """Tell whether it knows all that the chunks of an array are encoded by."""
    return steps <= _STEPS[version]


def read_array(url: str, version: int, stamp: str, places: tuple[slice, ...]) -> Array:
    """Return a box of the array at `url`, a folder or URL, in its own axes.

    `stamp` is another one where its metadata are others than at the last time.
    """
    array = _open(url, version, stamp, os.getpid())
    return np.asarray(array[places].read().result())


@lru_cache(maxsize=1)
def _is_installed() -> bool:
    return find_spec("tensorstore") is not None


@lru_cache(maxsize=_OPEN_ARRAYS)
def _open(url: str, version: int, stamp: str, process: int) -> Any:
    spec = {"driver": "zarr3" if version == 3 else "zarr", "kvstore": _kvstore(url)}
    return _tensorstore().open(spec, open=True, read=True, context=_context(process)).result()


@lru_cache(maxsize=1)
def _context(process: int) -> Any:
    spec = {
        "cache_pool": {"total_bytes_limit": _CACHE_BYTES},
        "data_copy_concurrency": {"limit": 1},
        **{f"{kind}_request_retries": _RETRIES for kind in ("s3", "gcs", "http")},
    }
    return _tensorstore().Context(spec)


def _kvstore(url: str) -> dict[str, Any]:
    scheme, found, rest = url.partition("://")
    if not found or scheme == "file":
        return {"driver": "file", "path": f"{Path(rest or scheme).absolute()}/"}
    host, _, path = rest.partition("/")
    path = path.rstrip("/") + "/"
    if scheme == "s3":
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        spec = {"driver": "s3", "bucket": host, "path": path}
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if endpoint:
            spec |= {"endpoint": endpoint, "aws_region": region or "us-east-1"}
        return spec
    if scheme in ("gs", "gcs"):
        return {"driver": "gcs", "bucket": host, "path": path}
    return {"driver": "http", "base_url": f"{scheme}://{host}", "path": "/" + path}


def _tensorstore() -> Any:
    # Read when the first request is made, and only from the environment. Whoever set them meant it.
    os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_TIME_SECONDS", str(STALLED_S))
    os.environ.setdefault("TENSORSTORE_CURL_LOW_SPEED_LIMIT_BYTES", "1")
    os.environ.setdefault("TENSORSTORE_CURL_CONNECT_TIMEOUT_SECONDS", str(STALLED_S))
    _USED_IN.add(os.getpid())
    return import_extra("tensorstore", "zarr")
