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


def test_files_are_the_images_of_one_subject(voxloom, phantoms, asked):
    files = [phantoms / f"phantom_000_{name}.nii.gz" for name in ("t1", "seg")]
    said = voxloom("view", *files, "--patches", 0)
    assert said.code == ExitCode.OK
    assert "One subject: phantom_000_t1 (image), phantom_000_seg (label map)" in said.err
    assert '"hasPatches": false' in asked[0]


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
