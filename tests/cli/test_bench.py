import json

import pytest

from voxloom._errors import CommandError
from voxloom.cli import ExitCode
from voxloom.cli._bench import parse_settings
from voxloom.cli._trial import Setting


def test_it_tries_what_was_asked_and_recommends_one_of_them(voxloom, phantoms):
    said = voxloom(
        *("bench", phantoms, "--workers", "0,1", "--executors", "threads", "--seconds", "0.1"),
        *("--patch-size", "8", "--step-time", "0.001", "--json"),
    )
    assert said.code == ExitCode.OK
    result = json.loads(said.out)
    tried = [(one["executor"], one["workers"]) for one in result["trials"]]
    assert tried == [("inline", 0), ("threads", 1)]
    assert (result["recommended"]["executor"], result["recommended"]["workers"]) in tried
    assert 0 < result["ceiling"]["patches_per_s"] < 4 / 0.001
    assert result["recommended"]["code"].startswith("voxloom.Queue(dataset, 64, 8, voxloom.Label")


def test_the_table_says_what_to_write(voxloom, phantoms):
    said = voxloom("bench", phantoms, "--workers", "0", "--seconds", "0.1", "--patch-size", "8")
    assert said.code == ExitCode.OK
    assert "Nothing trained" in said.out
    assert "queue = voxloom.Queue(dataset, 64, 8, voxloom.LabelSampler(8, 'seg')" in said.out


def test_what_it_advises_is_true_for_what_was_run(voxloom, phantoms):
    said = voxloom(
        *("bench", phantoms, "--workers", "0,1", "--executors", "threads", "--seconds", "0.3"),
        *("--patch-size", "8", "--batch-size", "100", "--json"),
    )
    result = json.loads(said.out)
    assert result["patches_in_batch"] == 24
    for trial in result["trials"]:
        assert "each epoch is one batch" in trial["advice"]


def test_workers_that_were_tried_are_not_advised(voxloom, phantoms):
    said = voxloom(
        *("bench", phantoms, "--workers", "0,1", "--executors", "threads", "--seconds", "0.3"),
        *("--patch-size", "8", "--json"),
    )
    first, _ = json.loads(said.out)["trials"]
    assert "makes its patches itself" in first["advice"]
    assert "num_workers" not in first["advice"]


def test_settings_are_all_executors_with_all_numbers():
    assert parse_settings("2,0,1", "processes,threads") == [
        Setting("inline", 0),
        Setting("processes", 1),
        Setting("processes", 2),
        Setting("threads", 1),
        Setting("threads", 2),
    ]


@pytest.mark.parametrize(
    ("workers", "executors", "sentence"),
    [
        ("x", "threads", "--workers are numbers from 0 to 256"),
        ("1000", "threads", "--workers are numbers from 0 to 256"),
        ("1", "gpu", "--executors are processes and threads, got 'gpu'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(workers, executors, sentence):
    with pytest.raises(CommandError, match=sentence):
        parse_settings(workers, executors)


def test_two_trainers_are_refused(voxloom, phantoms):
    said = voxloom("bench", phantoms, "--trainer", "math:sqrt", "--step-time", "0.1")
    assert said.code == ExitCode.USAGE
    assert "give one" in said.err
