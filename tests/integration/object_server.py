"""What a test asks of the S3 server that runs for it."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from urllib.parse import quote

BUCKET = "volumes"


class ObjectServer:
    """An S3 server on this machine with one bucket; knows what it sent, and fails when told."""

    def __init__(self, port: int) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": self.address,
            "AWS_REGION": "us-east-1",
        }
        self._put(f"/{BUCKET}")

    def upload(self, folder: Path) -> str:
        """Store a folder under its name and return its URL."""
        for file in folder.rglob("*"):
            if file.is_file():
                key = quote(file.relative_to(folder.parent).as_posix())
                self._put(f"/{BUCKET}/{key}", file.read_bytes())
        return f"s3://{BUCKET}/{folder.name}"

    def sent(self) -> dict[str, int]:
        """Return the bytes of objects that the server sent since the last time, by its count."""
        with urllib.request.urlopen(f"{self.address}/_sent") as answer:
            counts: dict[str, int] = json.load(answer)
            return counts

    def spoil(self, kind: str, count: int) -> None:
        """Let the next `count` requests for chunks fail: ``busy``, ``reset`` or ``cut``."""
        self._put(f"/_fault/{kind}/{count}")

    def _put(self, path: str, body: bytes = b"") -> None:
        # Moto takes whoever says which service and region they sign for.
        scope = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request"
        headers = {
            "Authorization": f"{scope}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/octet-stream",
        }
        asked = urllib.request.Request(self.address + path, body, headers, method="PUT")
        urllib.request.urlopen(asked, timeout=60).close()
