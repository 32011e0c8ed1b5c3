"""What is a URL, and how long a server is waited for: the same for every library that asks.

tensorstore's own settings try a request 32 times over a quarter of an hour, and wait for a
server that has gone silent until the system gives the connection up. A training would seem to
hang. Some seconds of backoff ride out what object stores do under load; after that an error with
the address is worth more.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import unquote

from voxloom._errors import UnknownFormatError

SCHEMES: Final = ("s3", "gs", "gcs", "https", "http", "file")
"""Those that a volume can be opened by."""

MOST_RETRIES: Final = 6
RETRY_FIRST_S: Final = 0.2
RETRY_LONGEST_S: Final = 5.0
STALLED_S: Final = 15
"""Seconds without an answer, or without a byte of it, after which a request is given up."""


def is_url(path: str) -> bool:
    """Whether a path is a URL, of any scheme.

    Examples
    --------
    >>> is_url("s3://bucket/t1.zarr"), is_url("data/t1.zarr")
    (True, False)
    """
    return "://" in path


def local_path(name: str) -> str:
    """Return the path that a ``file://`` URL names, and other URLs with their scheme in lower case.

    Raises
    ------
    UnknownFormatError
        If it is a URL of a scheme that nothing reads, or names no host or bucket.

    Examples
    --------
    >>> local_path("file:///data/a%20b.zarr"), local_path("s3://bucket/t1.zarr")
    ('/data/a b.zarr', 's3://bucket/t1.zarr')
    """
    scheme, found, rest = name.partition("://")
    if not found or Path(name).exists():
        return name
    if scheme.lower() not in SCHEMES:
        raise UnknownFormatError(
            f"{name}: volumes are read from {', '.join(f'{one}://' for one in SCHEMES)}, not "
            f"from {scheme}://; mount it, or copy the file"
        )
    if scheme.lower() == "file":
        return unquote(rest.removeprefix("localhost"))
    if not rest.strip("/"):
        raise UnknownFormatError(f"{name}: a URL names a host or a bucket, and the volume in it")
    return f"{scheme.lower()}://{rest}"
