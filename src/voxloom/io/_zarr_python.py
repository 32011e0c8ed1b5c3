"""Zarr arrays through zarr-python: where there is no tensorstore, or it lacks a codec."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from voxloom._extras import import_extra
from voxloom.io._object_store import open_store, retried
from voxloom.io._remote import is_url
from voxloom.io._source import Array

_OPEN_ARRAYS: Final = 256
_GAP: Final = "sharding_coalesce_max_gap_bytes"
"""Newer ones than 3.1 read what lies between two chunks of a shard: a MiB of it, by default."""


def read_array(url: str, stamp: str, places: tuple[slice, ...]) -> Array:
    """Return a box of the array at `url`, a folder or URL, in its own axes.

    `stamp` is another one where its metadata are others than at the last time.
    """
    return retried(url, lambda: np.asarray(_open(url, stamp, os.getpid())[places]))


def create_array(
    url: str,
    shape: tuple[int, ...],
    chunks: tuple[int, ...],
    dtype: npt.DTypeLike,
    attributes: dict[str, Any],
) -> Any:
    """Create an array of zeros at `url`, replacing what is there, and return it to be written."""
    return import_extra("zarr", "zarr").create_array(
        url, shape=shape, chunks=chunks, dtype=dtype, attributes=attributes, overwrite=True
    )


@lru_cache(maxsize=_OPEN_ARRAYS)
def _open(url: str, stamp: str, process: int) -> Any:
    zarr = import_extra("zarr", "zarr")
    store = zarr.storage.ObjectStore(open_store(url), read_only=True) if is_url(url) else url
    array = zarr.open_array(store, mode="r")
    has_gap = hasattr(getattr(array, "config", None), _GAP)
    return array.with_config({_GAP: 0}) if has_gap else array
