import json
from pathlib import Path

import numpy as np
import pytest

from voxloom._errors import PreparedError
from voxloom.prepared import open_prepared, prepare
from voxloom.subjects import ScalarImage, Subject, SubjectsDataset


@pytest.fixture
def store(tmp_path: Path) -> Path:
    image = ScalarImage(tensor=np.ones((1, 9, 9, 9), np.int16), scanner="A")
    prepare(SubjectsDataset([Subject(t1=image)]), tmp_path)
    return tmp_path


def test_what_an_image_knows_is_kept(store: Path) -> None:
    assert open_prepared(store)[0].t1["scanner"] == "A"


def test_an_item_of_a_store_is_not_unloaded_to_be_read_in_another_order(store: Path) -> None:
    item = open_prepared(store)[0]
    with pytest.raises(RuntimeError, match="has no file to read again"):
        item.unload()


def test_a_folder_without_a_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PreparedError, match="there is no prepared store here"):
        open_prepared(tmp_path)


HEAD = '{"format": "voxloom prepared store", "version": 2'


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ("no JSON", "is not JSON"),
        ("[]", "is not the manifest of a prepared store"),
        ('{"format": "voxloom prepared store", "version": 7}', "expected version 2, got 7"),
        (HEAD + "}", "its list of subjects is damaged"),
        (HEAD + ', "subjects": [3]}', "its list of subjects is damaged"),
        (HEAD + ', "subjects": [{"key": "a", "record": null}]}', "its list of subjects is damaged"),
    ],
)
def test_another_manifest_is_refused(store: Path, manifest: str, message: str) -> None:
    (store / "manifest.json").write_text(manifest)
    with pytest.raises(PreparedError, match=message):
        open_prepared(store, verify=True)


def test_a_damaged_record_is_refused(store: Path) -> None:
    manifest = json.loads((store / "manifest.json").read_text())
    del manifest["subjects"][0]["record"]["items"][0]["affine"]
    (store / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(PreparedError, match="its record in the manifest is damaged"):
        open_prepared(store)


def test_a_changed_byte_is_found_when_asked_for(store: Path) -> None:
    (file,) = store.rglob("t1.nii")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    open_prepared(store)
    with pytest.raises(PreparedError, match=r"t1\.nii changed since it was prepared"):
        open_prepared(store, verify=True)
