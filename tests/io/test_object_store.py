from pathlib import Path

import pytest

from voxloom.io._object_store import open_store, read_key


def test_a_key_is_read_or_absent(tmp_path: Path) -> None:
    (tmp_path / "zarr.json").write_bytes(b"{}")
    assert read_key(tmp_path.as_uri(), "zarr.json") == b"{}"
    assert read_key(tmp_path.as_uri(), ".zarray") is None


def test_a_store_is_opened_once_a_process(tmp_path: Path) -> None:
    assert open_store(tmp_path.as_uri()) is open_store(tmp_path.as_uri())


def test_s3_without_tls_needs_an_endpoint_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert open_store("s3://plain-bucket/t1.zarr").client_options["allow_http"] in (True, "true")
