import json

import numpy as np

from voxloom.cli import ExitCode


def test_json_says_versions_and_the_machine(voxloom):
    found = json.loads(voxloom("info", "--json").out)
    assert found["needed"]["numpy"] == np.__version__
    assert found["machine"]["cores"] >= 1
    assert set(found["extras"]) >= {"cli", "plot", "zarr"}


def test_a_library_that_is_missing_is_shown_as_that(voxloom, monkeypatch):
    monkeypatch.setattr("voxloom.cli._info._EXTRAS", {"cli": ("not-a-library-at-all",)})
    said = voxloom("info")
    assert said.code == ExitCode.OK
    assert "not installed" in said.out
