"""What is a URL, and how long a server is waited for: the same for every library that asks.

tensorstore's own settings try a request 32 times over a quarter of an hour, and wait for a
server that has gone silent until the system gives the connection up. A training would seem to
hang. Some seconds of backoff ride out what object stores do under load; after that an error with
the address is worth more.
"""

from __future__ import annotations

from typing import Final

SCHEMES: Final = ("s3", "gs", "gcs", "https", "http", "file")
"""Those that a volume can be opened by."""

MOST_RETRIES: Final = 6
RETRY_FIRST_S: Final = 0.2
RETRY_LONGEST_S: Final = 5.0
STALLED_S: Final = 30
"""Seconds without an answer, or without a byte of it, after which a request is given up."""


def is_url(path: str) -> bool:
    """Whether a path is a URL, of any scheme.

    Examples
    --------
    >>> is_url("s3://bucket/t1.zarr"), is_url("data/t1.zarr")
    (True, False)
    """
    return "://" in path


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case, empty for a path.

    Examples
    --------
    >>> scheme_of("S3://bucket/t1.zarr"), scheme_of("data/t1.zarr")
    ('s3', '')
    """
    scheme, found, _ = url.partition("://")
    return scheme.lower() if found else ""
