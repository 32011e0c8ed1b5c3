import json
import shutil
from pathlib import Path

import pytest

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


def lay_out(phantoms: Path, folder: Path, content: dict[str, object]) -> Path:
    channel = "_0000" if "file_ending" in content else ""
    for kind, end, more in (("imagesTr", "t1", channel), ("labelsTr", "seg", "")):
        (folder / kind).mkdir(parents=True)
        for n in range(3):
            file = phantoms / f"phantom_00{n}_{end}.nii.gz"
            shutil.copy(file, folder / kind / f"case_{n}{more}.nii.gz")
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


NNUNET = {"channel_names": {"0": "T1"}, "file_ending": ".nii.gz"}
MSD = {
    "training": [
        {"image": f"./imagesTr/case_{n}.nii.gz", "label": f"./labelsTr/case_{n}.nii.gz"}
        for n in range(3)
    ]
}


def missing_files(said):
    assert said.code == ExitCode.FOUND, said.err
    findings = json.loads(said.out)["findings"]
    return [(one["subject"], one["image"]) for one in findings if one["code"] == "missing-file"]


@pytest.mark.parametrize("content", [NNUNET, MSD])
def test_all_gaps_of_a_described_data_set_are_reported(voxloom, phantoms, tmp_path, content):
    data = lay_out(phantoms, tmp_path / "data", content)
    next((data / "imagesTr").glob("case_0*")).unlink()
    (data / "labelsTr" / "case_1.nii.gz").unlink()
    (data / "labelsTr" / "case_2.nii.gz").unlink()
    (data / "labelsTr" / "case_2.nii.gz").symlink_to("/annex/key")
    gaps = [("case_0", "image"), ("case_1", "label"), ("case_2", "label")]
    assert missing_files(voxloom("check", data, "--json")) == gaps


@pytest.mark.parametrize(
    "content",
    [
        NNUNET | {"labels": {"background": 0, "whole": [1, 2], "ignore": 3}},
        MSD | {"labels": {"0": "background", "1": "white", "2": "grey", "3": "fluid"}},
    ],
)
def test_labels_that_are_not_declared_are_told_by_file(voxloom, phantoms, tmp_path, content):
    data = lay_out(phantoms, tmp_path / "data", content)
    said = voxloom("check", data, "--count-labels")
    assert said.code == ExitCode.FOUND
    file = data / "labelsTr" / "case_0.nii.gz"
    assert f"({file}) has the labels 0, 1, 2, 3, 4, declared are 0, 1, 2, 3; correct" in said.out
    content["labels"]["4"] = "lesion" if content["labels"].get("0") else 4
    (data / "dataset.json").write_text(json.dumps(content))
    assert voxloom("check", data, "--count-labels").code == ExitCode.OK


@pytest.mark.parametrize("named", ["~/all/data", "~/all"])
def test_labels_are_compared_where_the_folder_is_named_from_home(
    voxloom, phantoms, tmp_path, monkeypatch, named
):
    monkeypatch.setenv("HOME", str(tmp_path))
    lay_out(phantoms, tmp_path / "all" / "data", {**NNUNET, "labels": {"background": 0}})
    said = voxloom("check", f"--nnunet={named}", "--count-labels")
    assert said.code == ExitCode.FOUND
    assert "declared are 0; correct" in said.out


def test_all_gaps_of_a_table_are_reported(voxloom, phantoms, tmp_path):
    seg = f"{phantoms}/phantom_000_seg.nii.gz"
    rows = [f"ann,lost.nii,{seg}", f"bob,{phantoms}/phantom_001_t1.nii.gz,", "cy,lost.nii,lost.nii"]
    (tmp_path / "all.csv").write_text("\n".join(["id,t1,seg", *rows]))
    said = voxloom("check", "--csv", "all.csv", "--image", "t1", "--label", "seg", "--json")
    assert missing_files(said) == [("ann", "t1"), ("cy", "t1"), ("cy", "seg")]
    assert "'seg' is missing in 1 of 3 subjects" in said.out
    assert "missing=" not in said.out
