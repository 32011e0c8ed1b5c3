import json
import shutil
from urllib.request import urlopen

import pytest

from voxloom.cli import ExitCode


@pytest.fixture
def asked(monkeypatch):
    """Serve nothing for long: ask the page for what it says, and go on."""
    from voxloom.view import PageServer

    pages = []

    def open_page(server):
        with urlopen(server.address) as answer:
            pages.append(answer.read().decode())

    monkeypatch.setattr(PageServer, "wait", open_page)
    return pages


def test_a_folder_is_served_with_boxes(voxloom, phantoms, asked):
    said = voxloom("view", phantoms, "--patches", 3)
    assert said.code == ExitCode.OK
    assert said.out.startswith("http://127.0.0.1:")
    assert "boxes: 3 patches by LabelSampler" in said.err
    assert all(f"phantom_00{n}" in asked[0] for n in range(3))


def test_one_box_is_one_patch(voxloom, phantoms, asked):
    assert "boxes: 1 patch by" in voxloom("view", phantoms, "--patches", 1).err


def test_files_are_the_images_of_one_subject(voxloom, phantoms, asked):
    files = [phantoms / f"phantom_000_{name}.nii.gz" for name in ("t1", "seg")]
    said = voxloom("view", *files, "--patches", 0)
    assert said.code == ExitCode.OK
    assert "One subject: phantom_000_t1 (image), phantom_000_seg (label map)" in said.err
    assert '"hasPatches": false' in asked[0]


def test_json_says_where_it_is_and_nothing_else(voxloom, phantoms, asked):
    said = voxloom("view", phantoms, "--patches", 3, "--json")
    found = json.loads(said.out)
    assert found.pop("address").startswith("http://127.0.0.1:")
    assert "3 subjects" in found.pop("source")
    assert found.pop("sampler").startswith("LabelSampler(")
    assert found == {"subjects": 3, "patches": 3}
    assert (said.code, said.err) == (ExitCode.OK, "")


def test_a_table_names_its_columns(voxloom, phantoms, asked, tmp_path):
    table = tmp_path / "all.csv"
    table.write_text(f"subject,t1\nann,{phantoms}/phantom_000_t1.nii.gz\n")
    said = voxloom("view", table, "--image", "t1", "--patches", 0)
    assert said.code == ExitCode.OK
    assert "ann" in asked[0]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--patch-size", 500), "does not fit in subject 'phantom_000'"),
        (("--shares", "99=1"), "it has none of the labels"),
    ],
)
def test_patches_that_cannot_be_cut_are_said_before_anything_is_served(
    voxloom, phantoms, asked, options, sentence
):
    said = voxloom("view", phantoms, *options)
    assert (said.code, said.out, asked) == (ExitCode.FAILED, "", [])
    assert sentence in said.err


@pytest.mark.parametrize(("patches", "is_opened"), [(0, False), (2, True)])
def test_without_patches_one_header_is_enough(
    voxloom, phantoms, asked, monkeypatch, patches, is_opened
):
    from voxloom.subjects import SubjectsDataset

    calls = []
    check = SubjectsDataset.check
    monkeypatch.setattr(SubjectsDataset, "check", lambda *a, **k: calls.append(1) or check(*a, **k))
    said = voxloom("view", phantoms, "--patches", patches)
    assert said.code == ExitCode.OK
    assert bool(calls) == is_opened


def test_a_damaged_volume_before_a_good_one_does_not_stop_the_page(
    voxloom, phantoms, asked, tmp_path
):
    shutil.copytree(phantoms, tmp_path / "data")
    (tmp_path / "data" / "phantom_000_seg.nii.gz").write_text("not a volume" * 40)
    (tmp_path / "data" / "phantom_000_t1.nii.gz").write_text("not a volume" * 40)
    said = voxloom("view", "data", "--patches", 0)
    assert said.code == ExitCode.OK
    assert "phantom_002" in asked[0]


def test_text_that_is_called_a_volume_is_one_sentence(voxloom, tmp_path, asked):
    (tmp_path / "text.nii.gz").write_text("not a volume" * 40)
    for more in ([], ["--patches", 0]):
        said = voxloom("view", "text.nii.gz", *more)
        assert (said.code, said.out) == (ExitCode.FAILED, "")
        assert "no volume could be read: text.nii.gz: expected a NIfTI header" in said.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ((), ExitCode.USAGE, "one of DATA"),
        (("no-folder",), ExitCode.FAILED, "no folder 'no-folder'"),
        (("none.nii.gz",), ExitCode.FAILED, "no file 'none.nii.gz'"),
        (("a", "b"), ExitCode.USAGE, "give one folder alone"),
        (("a/t1.nii", "b/t1.nii"), ExitCode.USAGE, "names of their own"),
        (("a.nii", "--label", "b"), ExitCode.USAGE, "--label names b; images are a"),
        (("a.nii", "--patches", "65"), ExitCode.USAGE, "'--patches'"),
        (("a.nii", "--port", "x"), ExitCode.USAGE, "'--port'"),
    ],
)
def test_what_cannot_be_shown_is_one_sentence(voxloom, arguments, code, sentence):
    said = voxloom("view", *arguments)
    assert (said.code, said.out) == (code, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1
