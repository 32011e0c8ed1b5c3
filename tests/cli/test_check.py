import json
import shutil

from voxloom.cli import ExitCode


def test_good_data_are_ok(voxloom, phantoms):
    said = voxloom("check", phantoms)
    assert said.code == ExitCode.OK
    assert "3 subjects, 6 images" in said.out
    assert "Read" in said.err


def test_json_is_all_that_is_printed(voxloom, phantoms):
    said = voxloom("check", phantoms, "--json", "--count-labels")
    report = json.loads(said.out)
    assert report["ok"]
    assert len(report["rows"]) == 6
    assert sum(report["rows"][1]["labels"].values()) == 32 * 28 * 24
    assert said.err == ""


def test_what_would_stop_a_training_is_code_1(voxloom, phantoms, tmp_path):
    shutil.copytree(phantoms, tmp_path / "data")
    (tmp_path / "data" / "phantom_001_seg.nii.gz").unlink()
    said = voxloom("check", "data")
    assert said.code == ExitCode.FOUND
    assert "phantom_001" in said.out


def test_links_to_what_was_not_fetched_are_all_reported(voxloom, phantoms, tmp_path):
    shutil.copytree(phantoms, tmp_path / "data")
    for name in ("phantom_000_t1.nii.gz", "phantom_002_seg.nii.gz"):
        (tmp_path / "data" / name).unlink()
        (tmp_path / "data" / name).symlink_to("/annex/key")
    said = voxloom("check", "data", "--json")
    assert said.code == ExitCode.FOUND
    missing = [one for one in json.loads(said.out)["findings"] if one["code"] == "missing-file"]
    assert [one["subject"] for one in missing] == ["phantom_000", "phantom_002"]
    assert all("link to '/annex/key', where nothing is: fetch" in one["message"] for one in missing)


def test_a_patch_that_does_not_fit_is_found(voxloom, phantoms):
    said = voxloom("check", phantoms, "--patch-size", "30", "--json")
    assert said.code == ExitCode.FOUND
    findings = json.loads(said.out)["findings"]
    assert {one["code"] for one in findings} == {"smaller-than-patch"}
