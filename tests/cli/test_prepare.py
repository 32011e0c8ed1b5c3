import json
import shutil

import pytest

from voxloom.cli import ExitCode
from voxloom.prepared import open_prepared


def test_it_stores_what_the_transform_gives(voxloom, phantoms, tmp_path):
    (tmp_path / "prepare_training.py").write_text(
        "def mark(subject):\n    return subject.replace(marked=True)\n"
    )
    transform = "prepare_training:mark"
    said = voxloom("prepare", phantoms, "store", "--transform", transform, "--json")
    assert said.code == ExitCode.OK
    result = json.loads(said.out)
    assert (result["subjects"], result["layout"]) == (3, "nifti")
    assert result["bytes"] > 3 * 3 * 32 * 28 * 24
    assert open_prepared("store")[2].marked is True


def test_the_subject_that_a_transform_fails_on_is_named(voxloom, phantoms, tmp_path):
    (tmp_path / "failing_training.py").write_text(
        "def fail(subject):\n    return subject.replace(t1=subject['t2'])\n"
    )
    said = voxloom("prepare", phantoms, "store", "--transform", "failing_training:fail")
    assert (said.code, said.out) == (ExitCode.FAILED, "")
    assert "'phantom_000' (number 0) cannot be prepared, its transform failed:" in said.err


def test_with_patterns_the_only_argument_is_the_folder(voxloom, phantoms):
    said = voxloom("prepare", "store", "--glob", f"t1={phantoms}/{{subject}}_t1.nii.gz")
    assert said.code == ExitCode.OK
    assert "open_prepared('store')" in said.out


@pytest.mark.parametrize("inside", ["", "prepared"])
def test_nothing_is_written_among_the_data(voxloom, phantoms, tmp_path, inside):
    data = tmp_path / "data"
    shutil.copytree(phantoms, data)
    before = sorted(data.rglob("*"))
    said = voxloom("prepare", data, data / inside)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "where it would be taken for data; give a folder beside it" in said.err
    assert sorted(data.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data"], "a folder to write is expected"),
        (["data", "out", "--layout", "x"], "--layout is nifti or zarr, got 'x'"),
    ],
)
def test_wrong_arguments_are_refused(voxloom, arguments, sentence):
    said = voxloom("prepare", *arguments)
    assert said.code == ExitCode.USAGE
    assert sentence in said.err
