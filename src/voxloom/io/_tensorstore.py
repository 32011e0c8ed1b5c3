"""Zarr arrays and keys through tensorstore, on disk and on remote stores."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from voxloom._extras import import_extra
from voxloom.io._source import Array

_CACHE_BYTES: Final = 32 << 20
"""Holds the indices of shards, which would otherwise be read again for every box."""

_OPEN_ARRAYS: Final = 256


def read_key(url: str, key: str) -> bytes | None:
    """Return what a store holds under `key`, or None where it has no such key."""
    tensorstore = _tensorstore()
    store = tensorstore.KvStore.open(
        {**_kvstore(url), "path": _kvstore(url)["path"] + key}, context=_context(os.getpid())
    ).result()
    found = store.read("").result()
    return bytes(found.value) if found.state == "value" else None


def read_array(url: str, version: int, places: tuple[slice, ...]) -> Array:
    """Return a box of the array at `url`, a folder or URL, in its own axes."""
    array = _open(url, version, os.getpid())
    return np.asarray(array[places].read().result())


@lru_cache(maxsize=_OPEN_ARRAYS)
def _open(url: str, version: int, process: int) -> Any:
    spec = {"driver": "zarr3" if version == 3 else "zarr", "kvstore": _kvstore(url)}
    return _tensorstore().open(spec, open=True, read=True, context=_context(process)).result()


@lru_cache(maxsize=1)
def _context(process: int) -> Any:
    spec = {
        "cache_pool": {"total_bytes_limit": _CACHE_BYTES},
        "data_copy_concurrency": {"limit": 1},
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
    return import_extra("tensorstore", "zarr")
