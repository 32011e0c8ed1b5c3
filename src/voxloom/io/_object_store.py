"""Keys and ranges of remote stores through obstore."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, Final, TypeVar

from voxloom._extras import import_extra
from voxloom.io._library import FileStamp, decoding, stamp_of
from voxloom.io._remote import MOST_RETRIES, RETRY_FIRST_S, RETRY_LONGEST_S, STALLED_S, is_url

_OPEN_STORES: Final = 256
_Read = TypeVar("_Read")


def read_key(url: str, key: str) -> bytes | None:
    """Return what a store holds under `key`, or None where it has no such key."""
    obstore = import_extra("obstore", "zarr")
    try:
        return retried(url, lambda: bytes(obstore.get(open_store(url), key).bytes()))
    except FileNotFoundError:
        return None


def object_stamp(url: str) -> FileStamp:
    """Return the stamp of the object at `url`; raise FileNotFoundError where there is none."""
    obstore = import_extra("obstore", "zarr")
    store, key = _located(url)
    found = retried(url, lambda: obstore.head(store, key))
    tag = zlib.crc32((found["e_tag"] or "").encode())
    changed_ns = int(found["last_modified"].timestamp()) * 1_000_000_000
    return FileStamp(tag, int(found["size"]), changed_ns, os.getpid())


def stamp_when_opened(path: str) -> FileStamp:
    """Return the stamp of a file, or of the object at a URL.

    Raises
    ------
    VolumeReadError
        If the store cannot be asked.
    """
    if not is_url(path):
        return stamp_of(path)
    with decoding(path, "the store"):
        return object_stamp(path)


def stamp_when_read(path: str, opened: FileStamp) -> FileStamp:
    """Return the stamp that a file has now; of an object the one from when it was opened.

    Asking a server for each box would cost as much as a chunk.
    """
    return opened._replace(process=os.getpid()) if is_url(path) else stamp_of(path)


def read_range(url: str, start: int, length: int) -> bytes:
    """Return so many bytes of the object at `url` from `start` on."""
    obstore = import_extra("obstore", "zarr")
    store, key = _located(url)
    return retried(url, lambda: bytes(obstore.get_range(store, key, start=start, length=length)))


def _located(url: str) -> tuple[Any, str]:
    folder, _, name = url.rpartition("/")
    return open_store(folder), name


def retried(url: str, read: Callable[[], _Read]) -> _Read:
    """Return what `read` gives, asking again where a plain HTTP server broke off in a body.

    obstore goes on with a body only where the server gives entity tags, as object stores do.
    """
    for number in range(MOST_RETRIES if url.startswith("http") else 0):
        try:
            return read()
        except Exception as error:  # obstore's own classes differ between its versions
            if "body error" not in str(error):
                raise
            time.sleep(min(RETRY_FIRST_S * 2**number, RETRY_LONGEST_S))
    return read()


def open_store(url: str) -> Any:
    """Return obstore's store at `url`; credentials come from where it takes them."""
    return _open(url, os.getpid())


@lru_cache(maxsize=_OPEN_STORES)
def _open(url: str, process: int) -> Any:
    backoff = {
        "init_backoff": timedelta(seconds=RETRY_FIRST_S),
        "max_backoff": timedelta(seconds=RETRY_LONGEST_S),
        "base": 4,  # each wait is drawn between the first and this many times the one before
    }
    retries = {
        "max_retries": MOST_RETRIES,
        "backoff": backoff,
        "retry_timeout": timedelta(seconds=MOST_RETRIES * (RETRY_LONGEST_S + STALLED_S)),
    }
    client = {"read_timeout": timedelta(seconds=STALLED_S), "allow_http": _is_plain_http(url)}
    from_url = import_extra("obstore.store", "zarr").from_url
    return from_url(url, client_options=client, retry_config=retries)


def _is_plain_http(url: str) -> bool:
    # A server of one's own that is named as http:// is meant to be asked without TLS.
    if url.startswith("s3"):
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return bool(endpoint and endpoint.startswith("http://"))
    if url.startswith("gs"):
        return '"http://' in os.environ.get("GOOGLE_SERVICE_ACCOUNT_KEY", "")
    return url.startswith("http://")
