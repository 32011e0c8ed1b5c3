"""The real job, with few steps of small patches."""

import json
from importlib import util

import pytest

from voxloom.cli import ExitCode, _demo

PICTURES = {"subject", "centres", "patches", "queue", "loss", "prediction"}
SMALL = ("--patch-size", "16", "--output", "pictures")


def test_it_trains_and_draws_and_says_so_as_json(voxloom, tmp_path):
    pytest.importorskip("monai")
    pytest.importorskip("nilearn")
    said = voxloom("demo", "--steps", 12, "--workers", 1, *SMALL, "--json")
    assert said.code == ExitCode.OK, said.err
    found = json.loads(said.out)
    losses = found["losses"]
    assert len(losses) == 12
    assert sum(losses[-3:]) < sum(losses[:3])
    assert found["patches"] == 48
    assert 0 <= found["waiting_share"] <= 1
    assert found["patches_per_s"] == pytest.approx(48 / found["training_s"])
    files = {tmp_path / file for file in found["files"]}
    assert {file.stem for file in files} == PICTURES
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)


def test_figures_are_printed_for_people(voxloom, capsys):
    result = {
        "losses": [1.0, 0.5],
        "patches": 8,
        "training_s": 2.0,
        "patches_per_s": 4.0,
        "waiting_share": 0.25,
        "files": ["a.png"],
        "seconds": 9.0,
    }
    _demo._show(result)
    said = capsys.readouterr().out
    for words in (
        "0.750 (first 2 steps)",
        "8 in 2.0 s, 4.0 a second",
        "25.0% of the time",
        "a.png",
    ):
        assert words in said


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--patch-size", "20"], "--patch-size is a multiple of 8 from 16 to 128, got 20"),
        (["--patch-size", "-8"], "'--patch-size'"),
        (["--steps", "0"], "'--steps'"),
        (["--workers", "many"], "'--workers'"),
    ],
)
def test_wrong_numbers_are_one_sentence(voxloom, arguments, sentence):
    said = voxloom("demo", *arguments)
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert sentence in said.err
    assert said.err.count("\n") == 1


def test_a_folder_that_cannot_be_written_is_said_before_the_training(voxloom, tmp_path):
    (tmp_path / "file").touch()
    said = voxloom("demo", "--output", "file")
    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert "--output is a folder, and 'file' is a file" in said.err


def test_what_is_missing_is_named_with_its_extra(voxloom, monkeypatch, tmp_path):
    found = util.find_spec
    monkeypatch.setattr(_demo, "find_spec", lambda name: None if name == "monai" else found(name))
    said = voxloom("demo", "--output", "pictures")
    assert said.code == ExitCode.MISSING
    assert said.err == (
        "voxloom: monai needed for the demo and not installed; run: pip install 'voxloom[demo]'\n"
    )
    assert list(tmp_path.iterdir()) == []
